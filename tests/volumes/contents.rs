//! What the guest leaves on the host, and what programs find there.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::process::Command;

use crate::common::guest::all;
use crate::common::skip::{Need, has_all};
use crate::common::{Unikiln, outcome};
use crate::{Running, ash, directory, kvm, program, read, run, run_program, volume};

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
        // The volume hides what is below /tmp, where the tests themselves may lie.
        let place = tempfile::tempdir_in("/var/tmp").expect("writable");
        let program = place.path().join(name);
        fs::copy(guest.compile(guest.builds[0]), &program).expect("copies");
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
fn threads_share_a_volume() {
    if !kvm("threads_share_a_volume") {
        return;
    }
    for cpus in ["1", "2", "4"] {
        let dir = directory();
        let image = format!("host:{}", program("shared_volume").display());
        Unikiln::run(image)
            .options(volume(dir.path(), "/data"))
            .options(["--cpus", cpus])
            .args(["/data"])
            .output()
            .assert_code(0)
            .assert_stdout("ok shared_volume\n");
        assert_eq!(fs::read_dir(dir.path()).expect("there").count(), 1);
    }
}

#[test]
fn a_signal_loses_nothing_that_was_mapped() {
    if !kvm("a_signal_loses_nothing_that_was_mapped") {
        return;
    }
    let image = format!("host:{}", program("crash").display());
    // SIGABRT with a crash record, SIGUSR1 without.
    for signal in [6, 10] {
        let dir = directory();
        run(dir.path(), "/data", &image, &["/data", &signal.to_string()]).assert_code(128 + signal);
        assert!(read(dir.path().join("mapped")).starts_with("kept"));
    }
}

#[test]
fn python_works_on_a_volume() {
    let needs = [Need::Kvm, Need::File("/usr/bin/python3.11")];
    if !has_all("python_works_on_a_volume", &needs) {
        return;
    }
    let dir = directory();
    let script = "
import os, sqlite3, shutil, tempfile, mmap
os.chdir('/data')
base = sqlite3.connect('base.db')
base.execute('create table t(n)')
base.executemany('insert into t values (?)', [(n,) for n in range(1000)])
base.commit()
print(base.execute('select sum(n) from t').fetchone()[0])
shutil.copytree('tree', 'copy')
print(sorted(name for _, _, names in os.walk('copy') for name in names))
shutil.rmtree('copy')
with tempfile.NamedTemporaryFile(dir='.') as file:
    file.write(b'x' * 100000); file.flush()
    with mmap.mmap(file.fileno(), 0) as view: view[99999] = 121
    file.seek(-2, 2); print(file.read())
print(sorted(os.listdir('.')), os.statvfs('.').f_namemax)
";
    for path in ["tree/a/b", "tree/c"] {
        fs::create_dir_all(dir.path().join(path)).expect("writable");
        fs::write(dir.path().join(path).join("leaf"), "x").expect("writable");
    }
    let outcome = Unikiln::run("host:/usr/bin/python3.11")
        .options(volume(dir.path(), "/data"))
        .options(["--include", "/usr/lib/python3.11"])
        .args(["-c", script])
        .output();
    outcome
        .assert_code(0)
        .assert_stdout("499500\n['leaf', 'leaf']\nb'xy'\n['base.db', 'tree'] 255\n");
}

#[test]
fn syncing_means_syncing() {
    let needs = [Need::Kvm, Need::Program("strace")];
    if !has_all("syncing_means_syncing", &needs) {
        return;
    }
    let dir = directory();
    let calls = dir.path().join("calls");
    let source = dir.path().join("volume");
    fs::create_dir(&source).expect("writable");
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq", "-e", "trace=fsync,fdatasync,syncfs", "-o"])
        .arg(&calls)
        .arg(env!("CARGO_BIN_EXE_unikiln"))
        .arg("run")
        .args(volume(&source, "/data"))
        .arg(format!("host:{}", program("keep").display()))
        .arg("/data");
    outcome::run(command, None)
        .assert_code(0)
        .assert_stdout("ok keep\n");
    let calls = read(calls);
    let count = |call: &str| {
        let lines = calls.lines();
        lines
            .filter(|line| line.contains(call) && line.ends_with("= 0"))
            .count()
    };
    // A file, a directory; fdatasync and msync; the file system.
    let counts = (count(" fsync("), count(" fdatasync("), count(" syncfs("));
    assert_eq!(counts, (2, 2, 1), "{calls}");
}
