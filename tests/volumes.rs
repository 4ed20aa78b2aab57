//! Volumes (`-v SRC:DST[:ro]`): what the guest leaves on the host, what it sees of it,
//! and what it cannot reach.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use common::guest::{Build, all};
use common::skip::{Need, has_all};
use common::{Outcome, Unikiln, outcome};
use tempfile::TempDir;

/// Programs of `tests/guests` that work in a directory below `/tmp`, which is a volume
/// here. Those left out want what a volume is not: set-ID programs and devices that
/// work, times of birth, a size limit.
const ON_A_VOLUME: [&str; 26] = [
    "attributes",
    "bad_flags",
    "busy_text",
    "cwd",
    "descriptors",
    "directories",
    "efault",
    "exec",
    "file_io",
    "inotify",
    "links",
    "locks",
    "metadata",
    "mmap_file",
    "mmap_flags",
    "mmap_truncated",
    "mremap_more",
    "open_flags",
    "permissions",
    "pipes",
    "positions",
    "rename",
    "rwf_and_ranges",
    "stat",
    "transfer",
    "unix_stream",
];

fn kvm(test: &str) -> bool {
    has_all(test, &[Need::Kvm])
}

/// A directory that is removed with the test. Not below `/tmp`, which some of the
/// guests see as a volume.
fn directory() -> TempDir {
    TempDir::new_in(common::cache_dir("volumes")).expect("a temporary directory")
}

fn volume(source: &Path, rest: &str) -> [String; 2] {
    ["-v".into(), format!("{}:{rest}", source.display())]
}

/// A program of `tests/guests/volumes`.
fn program(name: &str) -> PathBuf {
    let guests = all("tests/guests/volumes").expect("the folder is in the repository");
    let guest = guests.into_iter().find(|guest| guest.name == name);
    guest.expect("the program is there").compile(Build::Static)
}

fn run(source: &Path, rest: &str, image: &str, args: &[&str]) -> Outcome {
    let unikiln = Unikiln::run(image).options(volume(source, rest));
    unikiln.args(args).output()
}

fn run_program(source: &Path, name: &str) -> Outcome {
    let image = format!("host:{}", program(name).display());
    run(source, "/data", &image, &["/data"])
}

fn ash(source: &Path, rest: &str, script: &str) -> Outcome {
    run(source, rest, "host:/bin/busybox", &["ash", "-c", script])
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A guest that has said `ready`.
struct Running {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Running {
    fn start(source: &Path, name: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_unikiln"))
            .arg("run")
            .args(volume(source, "/data"))
            .arg(format!("host:{}", program(name).display()))
            .arg("/data")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unikiln starts");
        let lines = BufReader::new(child.stdout.take().expect("piped"));
        let mut running = Self { child, lines };
        assert_eq!(running.line(), "ready");
        running
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("the guest writes");
        line.trim_end().to_owned()
    }

    /// The rest of its output, and its exit code.
    fn finish(mut self) -> (String, Option<i32>) {
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).expect("UTF-8");
        (rest, self.child.wait().expect("the child is ours").code())
    }
}

#[test]
fn what_the_guest_writes_is_on_the_host() {
    if !kvm("what_the_guest_writes_is_on_the_host") {
        return;
    }
    let dir = directory();
    let source = dir.path();
    run_program(source, "keep")
        .assert_code(0)
        .assert_stdout("ok keep\n");
    assert_eq!(read(source.join("written")), "by write");
    assert_eq!(read(source.join("symlink")), "by write");
    assert_eq!(read(source.join("appended")), "one two");
    assert_eq!(read(source.join("linked")), "named");
    let mode = |name: &str| fs::metadata(source.join(name)).expect("there").mode() & 0o7777;
    assert_eq!((mode("written"), mode("appended")), (0o644, 0o640));
    let fifo = fs::metadata(source.join("fifo")).expect("there");
    assert!(fifo.file_type().is_fifo());
    let at = |name: &str, from: usize| read(source.join(name))[from..from + 4].to_owned();
    assert_eq!(at("synced", 4094), "WMan");
    assert_eq!(at("unmapped", 0), "gone");
    assert_eq!(at("left", 8188), "last");
    assert_eq!(
        fs::metadata(source.join("left")).expect("there").len(),
        8192
    );
    assert!(!source.join("device").exists());
}

#[test]
fn programs_work_on_a_volume_as_elsewhere() {
    if !kvm("programs_work_on_a_volume_as_elsewhere") {
        return;
    }
    let guests = all("tests/guests").expect("the folder is in the repository");
    for name in ON_A_VOLUME {
        let dir = directory();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o1777)).expect("ours");
        let guest = guests.iter().find(|guest| guest.name == name);
        let guest = guest.expect("the program is there");
        let program = guest.compile(guest.builds[0]);
        let outcome = Unikiln::run(format!("host:{}", program.display()))
            .options(volume(dir.path(), "/tmp"))
            .options(&guest.options)
            .args(&guest.args)
            .output();
        outcome
            .assert_code(0)
            .assert_stdout_has(&format!("ok {name}\n"));
    }
}

#[test]
fn a_read_only_volume_stays_as_it_is() {
    if !kvm("a_read_only_volume_stays_as_it_is") {
        return;
    }
    let dir = directory();
    fs::write(dir.path().join("file"), "kept").expect("writable");
    let script = "read line < /data/file; echo $line; echo x > /data/file; echo x > /data/new; \
                  echo x >> /data/file; exit 0";
    let outcome = ash(dir.path(), "/data:ro", script);
    outcome
        .assert_code(0)
        .assert_stdout("kept\n")
        .assert_stderr_has("/data/file: Read-only file system")
        .assert_stderr_has("/data/new: Read-only file system");
    let is_writable = |path: &str| run(dir.path(), "/data:ro", "host:/usr/bin/test", &["-w", path]);
    is_writable("/data/file").assert_code(1);
    is_writable("/tmp").assert_code(0);
    for command in [
        &["rm", "/data/file"][..],
        &["mv", "/data/file", "/data/moved"],
        &["chmod", "777", "/data/file"],
        &["mkdir", "/data/dir"],
        &["ln", "/data/file", "/data/link"],
        &["touch", "/data/file"],
    ] {
        let outcome = run(dir.path(), "/data:ro", "host:/bin/busybox", command);
        assert_ne!(outcome.code, 0, "{}", outcome.story());
        outcome.assert_stderr_has("Read-only file system");
    }
    assert_eq!(read(dir.path().join("file")), "kept");
    assert_eq!(fs::read_dir(dir.path()).expect("there").count(), 1);
    let mounts = ash(
        dir.path(),
        "/data:ro",
        "while read l; do echo $l; done < /proc/mounts",
    );
    mounts.assert_stdout_has(" /data fuse.unikiln ro,nosuid,nodev 0 0\n");
}

#[test]
fn symlinks_lead_through_the_guests_own_root() {
    if !kvm("symlinks_lead_through_the_guests_own_root") {
        return;
    }
    let dir = directory();
    let source = dir.path().join("volume");
    fs::create_dir_all(source.join("a/b")).expect("writable");
    let secret = dir.path().join("secret");
    fs::write(&secret, "secret").expect("writable");
    fs::write(source.join("inner"), "inner").expect("writable");
    symlink(&secret, source.join("absolute")).expect("writable");
    symlink("../secret", source.join("up")).expect("writable");
    symlink("../../../../../../../../../etc/passwd", source.join("far")).expect("writable");
    symlink("../../inner", source.join("a/b/inside")).expect("writable");
    symlink("/data/inner", source.join("own")).expect("writable");
    // That one is the image's own.
    let script = "cd /data; for f in absolute up far a/b/inside own; do \
                  if read line < $f; then :; fi; echo $f=$line; line=; done; \
                  cd a/b/../..; pwd; cd ..; pwd; cd /data/a/b; cd ../../..; pwd; exit 0";
    let outcome = ash(&source, "/data", script);
    outcome
        .assert_code(0)
        .assert_stdout("absolute=\nup=\nfar=root:x:0:0:root:/root:/bin/sh\na/b/inside=inner\nown=inner\n/data\n/\n/\n");
    outcome.assert_stderr_has("absolute: no such file");
}

#[test]
fn a_directory_swapped_for_a_symlink_is_no_way_out() {
    if !kvm("a_directory_swapped_for_a_symlink_is_no_way_out") {
        return;
    }
    let dir = directory();
    let source = dir.path().join("volume");
    let outside = dir.path().join("outside");
    fs::create_dir_all(source.join("d")).expect("writable");
    fs::create_dir(&outside).expect("writable");
    fs::write(source.join("d/secret"), "inside").expect("writable");
    fs::write(outside.join("secret"), "outside").expect("writable");
    let guest = Running::start(&source, "peek");
    symlink(&outside, source.join("link")).expect("writable");
    for _ in 0..3000 {
        for (from, to) in [("d", "real"), ("link", "d"), ("d", "link"), ("real", "d")] {
            fs::rename(source.join(from), source.join(to)).expect("names are ours");
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    fs::write(source.join("stop"), "").expect("writable");
    let (said, code) = guest.finish();
    assert_eq!(said, "inside some, outside 0, failed some\n");
    assert_eq!(code, Some(0));
}

#[test]
fn changes_on_the_host_are_seen_and_told() {
    if !kvm("changes_on_the_host_are_seen_and_told") {
        return;
    }
    let dir = directory();
    let at = |name: &str| dir.path().join(name);
    // A ConfigMap as the kubelet writes it.
    for (version, value) in [("..1", "old"), ("..2", "new")] {
        fs::create_dir(at(version)).expect("writable");
        fs::write(at(version).join("value"), value).expect("writable");
    }
    symlink("..1", at("..data")).expect("writable");
    symlink("..data/value", at("value")).expect("writable");
    let mut guest = Running::start(dir.path(), "watch");
    fs::write(at("made"), "x").expect("writable");
    for line in ["create(made)", "modify(made)", "close_write(made)"] {
        assert_eq!(guest.line(), line);
    }
    symlink("..2", at("..data_tmp")).expect("writable");
    assert_eq!(guest.line(), "create(..data_tmp)");
    fs::rename(at("..data_tmp"), at("..data")).expect("writable");
    assert_eq!(guest.line(), "moved_from(..data_tmp)");
    assert_eq!(guest.line(), "moved_to(..data) value=new");
    fs::set_permissions(at("made"), fs::Permissions::from_mode(0o600)).expect("ours");
    assert_eq!(guest.line(), "attrib(made)");
    fs::remove_file(at("made")).expect("ours");
    assert_eq!(guest.line(), "delete(made)");
    fs::write(at("stop"), "").expect("writable");
    assert_eq!(guest.finish(), (String::new(), Some(0)));
}

#[test]
fn a_file_can_be_a_volume() {
    if !kvm("a_file_can_be_a_volume") {
        return;
    }
    let dir = directory();
    let file = dir.path().join("app.conf");
    fs::write(&file, "from the host\n").expect("writable");
    let script = "read line < /etc/app/app.conf; echo $line; echo changed > /etc/app/app.conf";
    ash(&file, "/etc/app/app.conf", script)
        .assert_code(0)
        .assert_stdout("from the host\n");
    assert_eq!(read(&file), "changed\n");
    let remove = ["rm", "/etc/app/app.conf"];
    let outcome = run(&file, "/etc/app/app.conf", "host:/bin/busybox", &remove);
    outcome.assert_code(1).assert_stderr_has("busy");
    assert!(file.exists());
    // A directory of the image is no place for a file.
    ash(&file, "/proc/sys", "exit 0").assert_code(125);
    ash(&file, "/tmp", "exit 0")
        .assert_code(125)
        .assert_stderr_has("volume at /tmp: it is a file");
}

#[test]
fn volumes_nest_in_any_order() {
    if !kvm("volumes_nest_in_any_order") {
        return;
    }
    let (outer, inner) = (directory(), directory());
    fs::write(outer.path().join("o"), "").expect("writable");
    fs::write(inner.path().join("i"), "").expect("writable");
    let outer_first = [volume(outer.path(), "/x"), volume(inner.path(), "/x/y")];
    let inner_first = [volume(inner.path(), "/x/y"), volume(outer.path(), "/x:ro")];
    for order in [outer_first, inner_first] {
        let script = "cd /x; echo *; cd y; echo *; pwd; cd ..; echo *; echo > y/new";
        let outcome = Unikiln::run("host:/bin/busybox")
            .options(order.as_flattened())
            .args(["ash", "-c", script])
            .output();
        outcome.assert_code(0);
        let out = outcome.out();
        let first = out.lines().next().unwrap_or_default();
        assert!(matches!(first, "o y" | "y o"), "{}", outcome.story());
        outcome.assert_stdout_has("/x/y\n");
        fs::remove_file(inner.path().join("new")).expect("the guest made it");
    }
    assert_eq!(fs::read_dir(outer.path()).expect("there").count(), 1);
}

#[test]
fn a_full_disk_is_enospc() {
    let needs = [Need::Kvm, Need::Program("unshare"), Need::Program("mount")];
    if !has_all("a_full_disk_is_enospc", &needs) {
        return;
    }
    let dir = directory();
    let mut command = Command::new("unshare");
    let script =
        "mount -t tmpfs -o size=1m none \"$1\" && exec \"$2\" run -v \"$1:/data\" \"$3\" /data";
    command
        .args(["-m", "sh", "-c", script, "sh"])
        .arg(dir.path())
        .arg(env!("CARGO_BIN_EXE_unikiln"))
        .arg(format!("host:{}", program("full").display()))
        .stdin(Stdio::null());
    outcome::run(command, None)
        .assert_code(0)
        .assert_stdout("ok full\n");
}

#[test]
fn a_volume_may_be_deleted_under_the_guest() {
    if !kvm("a_volume_may_be_deleted_under_the_guest") {
        return;
    }
    let dir = directory();
    let source = dir.path().join("volume");
    fs::create_dir(&source).expect("writable");
    let guest = Running::start(&source, "deleted");
    // Names that the guest makes meanwhile are in the way.
    while source.exists() {
        let _ = fs::remove_dir_all(&source);
    }
    assert_eq!(guest.finish(), ("ok deleted\n".into(), Some(0)));
}

#[test]
fn what_was_closed_survives_a_kill() {
    if !kvm("what_was_closed_survives_a_kill") {
        return;
    }
    let dir = directory();
    let mut guest = Running::start(dir.path(), "closed");
    guest.child.kill().expect("the child is ours");
    guest.child.wait().expect("the child is ours");
    for index in 0..100 {
        let name = format!("f{index}");
        assert_eq!(read(dir.path().join(&name)), name);
    }
}

#[test]
fn ten_thousand_files_are_listed() {
    if !kvm("ten_thousand_files_are_listed") {
        return;
    }
    let dir = directory();
    for index in 0..10_000 {
        fs::write(dir.path().join(format!("file-{index:05}")), "").expect("writable");
    }
    let outcome = run(dir.path(), "/data", "host:/bin/ls", &["/data"]);
    outcome.assert_code(0);
    let wanted: String = (0..10_000).map(|at| format!("file-{at:05}\n")).collect();
    outcome.assert_stdout(&wanted);
    // Each is looked at: what the monitor holds for it comes back.
    let outcome = run(dir.path(), "/data", "host:/bin/ls", &["-l", "/data"]);
    assert_eq!(outcome.out().lines().count(), 10_001, "{}", outcome.err());
}

#[test]
fn a_large_file_arrives_whole() {
    if !kvm("a_large_file_arrives_whole") {
        return;
    }
    let dir = directory();
    let bytes: Vec<u8> = (0..64u32 << 20)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    fs::write(dir.path().join("big"), bytes).expect("writable");
    let native = Command::new("sha256sum")
        .arg(dir.path().join("big"))
        .output();
    let native = native.expect("sha256sum starts").stdout;
    let digest = String::from_utf8_lossy(&native)[..64].to_owned();
    let outcome = run(
        dir.path(),
        "/data",
        "host:/usr/bin/sha256sum",
        &["/data/big"],
    );
    outcome
        .assert_code(0)
        .assert_stdout(&format!("{digest}  /data/big\n"));
    let copy = ["/data/big", "/data/copy"];
    run(dir.path(), "/data", "host:/bin/cp", &copy).assert_code(0);
    let both = [dir.path().join("big"), dir.path().join("copy")];
    assert!(fs::read(&both[0]).expect("there") == fs::read(&both[1]).expect("the guest made it"));
}

#[test]
fn a_program_on_a_volume_runs() {
    if !kvm("a_program_on_a_volume_runs") {
        return;
    }
    let dir = directory();
    fs::copy(program("keep"), dir.path().join("keep")).expect("writable");
    ash(dir.path(), "/data", "exec /data/keep /data")
        .assert_code(0)
        .assert_stdout("ok keep\n");
    fs::copy("/bin/true", dir.path().join("denied")).expect("writable");
    fs::set_permissions(dir.path().join("denied"), fs::Permissions::from_mode(0o644))
        .expect("ours");
    ash(dir.path(), "/data", "exec /data/denied").assert_code(126);
}

#[test]
fn sqlite_keeps_a_database_on_a_volume() {
    let needs = [Need::Kvm, Need::Program("sqlite3")];
    if !has_all("sqlite_keeps_a_database_on_a_volume", &needs) {
        return;
    }
    let dir = directory();
    let sql = |text: &str| {
        let args = ["/data/db", text];
        run(dir.path(), "/data", "host:/usr/bin/sqlite3", &args)
    };
    sql("create table t(n); insert into t values (1), (2); select sum(n) from t;")
        .assert_code(0)
        .assert_stdout("3\n");
    sql("pragma journal_mode=wal; begin; insert into t values (39); commit; select sum(n) from t;")
        .assert_code(0)
        .assert_stdout("wal\n42\n");
    let said = Command::new("sqlite3")
        .arg(dir.path().join("db"))
        .arg("pragma integrity_check; insert into t values (58); select sum(n) from t;")
        .output()
        .expect("sqlite3 starts")
        .stdout;
    assert_eq!(String::from_utf8_lossy(&said), "ok\n100\n");
    sql("select sum(n) from t;").assert_stdout("100\n");
}

#[test]
fn files_belong_to_who_makes_them_and_the_host_decides() {
    let needs = [Need::Kvm, Need::Program("setpriv")];
    if !has_all(
        "files_belong_to_who_makes_them_and_the_host_decides",
        &needs,
    ) {
        return;
    }
    let dir = directory();
    fs::write(dir.path().join("mine"), "private").expect("writable");
    let as_root = run(
        dir.path(),
        "/data",
        "host:/bin/chown",
        &["7:8", "/data/mine"],
    );
    as_root.assert_code(0);
    let mine = fs::metadata(dir.path().join("mine")).expect("there");
    assert_eq!((mine.uid(), mine.gid()), (7, 8));
    fs::set_permissions(dir.path().join("mine"), fs::Permissions::from_mode(0o600)).expect("ours");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).expect("ours");
    // A monitor without capabilities may do what any user may, whoever the guest
    // thinks it is.
    let mut command = Command::new("setpriv");
    command
        .arg("--bounding-set=-dac_override,-dac_read_search,-chown,-fowner")
        .arg(env!("CARGO_BIN_EXE_unikiln"))
        .arg("run")
        .args(volume(dir.path(), "/data"))
        .args(["host:/bin/busybox", "ash", "-c"])
        .arg("echo made > /data/made; read x < /data/mine; exec chown 7 /data/made")
        .stdin(Stdio::null());
    let outcome = outcome::run(command, None);
    outcome
        .assert_code(1)
        .assert_stderr_has("/data/mine: Permission denied")
        .assert_stderr_has("/data/made: Operation not permitted");
    let made = fs::metadata(dir.path().join("made")).expect("the guest made it");
    assert_eq!((made.uid(), made.gid()), (0, 0));
}

#[test]
fn wrong_volumes_are_refused_with_a_hint() {
    let refused = |options: &[&str]| {
        let unikiln = Unikiln::run("host:/bin/true").options(options);
        unikiln.output()
    };
    refused(&["-v", "/tmp"]).assert_own_failure(&["SRC:DST"]);
    refused(&["-v", "/tmp:data"]).assert_own_failure(&["data", "absolute path"]);
    refused(&["-v", "/tmp:/"]).assert_own_failure(&["absolute path below /"]);
    refused(&["-v", "/tmp:/a/../b"]).assert_own_failure(&["without .."]);
    refused(&["-v", "/tmp:/a:rx"]).assert_own_failure(&["rx", "ro and rw"]);
    if kvm("wrong_volumes_are_refused_with_a_hint") {
        refused(&["-v", "/dev/null:/a"]).assert_own_failure(&["/dev/null"]);
        refused(&["-v", "/tmp:/a", "-v", "/var:/a"]).assert_own_failure(&["/a"]);
        // A missing directory is made, as docker makes it.
        let dir = directory();
        let made = dir.path().join("made/here");
        ash(&made, "/data", "echo > /data/file").assert_code(0);
        assert!(made.join("file").exists());
    }
}
