//! Containers as the daemon starts them (`unikiln-vmm --spec`), with programs that look at
//! themselves from the inside.

#[path = "../common/mod.rs"]
mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::guest::{Build, all};
use common::skip::{Need, has_all};
use tempfile::TempDir;
use unikiln_vmm::config::Processes;
use unikiln_vmm::container::{Ending, Ready};
use unikiln_vmm::control::{Reply, Request, Update, ask};
use unikiln_vmm::spec::{SPEC_VERSION, Spec, SpecNetwork, SpecVolume};

const WAIT: Duration = Duration::from_secs(60);

fn kvm(test: &str) -> bool {
    has_all(test, &[Need::Kvm])
}

/// The monitor beside the command that is tested.
fn monitor() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_unikiln")).with_file_name("unikiln-vmm");
    assert!(
        path.exists(),
        "{} is missing: cargo build -p unikiln-vmm",
        path.display()
    );
    path
}

/// The unikernel of `tests/guests/contained/inside.c`, with this machine's users.
fn unikernel(directory: &Path) -> PathBuf {
    let guests = all("tests/guests/contained").expect("the folder is in the repository");
    let guest = guests.into_iter().find(|guest| guest.name == "inside");
    let program = guest.expect("the program is there").compile(Build::Static);
    let file = directory.join("inside.uk");
    let built = Command::new(env!("CARGO_BIN_EXE_unikiln"))
        .arg("build")
        .arg(format!("host:{}", program.display()))
        .args(["--include", "/etc/passwd", "--include", "/etc/group", "-o"])
        .arg(&file)
        .output()
        .expect("unikiln starts");
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    file
}

struct Container {
    directory: TempDir,
    spec: Spec,
    child: Option<Child>,
}

impl Container {
    fn new(args: &[&str]) -> Self {
        let directory = TempDir::new_in(common::cache_dir("container")).expect("a directory");
        let path = |name: &str| Some(directory.path().join(name));
        let spec = Spec {
            version: SPEC_VERSION,
            unikernel: unikernel(directory.path()),
            command: vec![],
            args: args.iter().map(|it| (*it).to_owned()).collect(),
            env: vec!["VARIABLE=value".into()],
            working_dir: Some("/work/here".into()),
            hostname: "pod-name".into(),
            user: None,
            groups: vec![],
            image_groups: true,
            read_only_root: false,
            no_new_privileges: false,
            processes: Processes::default(),
            pids_limit: None,
            volumes: vec![],
            memory_bytes: 64 << 20,
            cpus: 2,
            network: SpecNetwork::None,
            log: path("0.log"),
            strace: None,
            stats: None,
            cgroup_procs: vec![],
            oom_score_adj: Some(500),
            control: path("control.sock"),
            exit: path("exit.json"),
        };
        Self {
            directory,
            spec,
            child: None,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A volume of a file or directory in the container's directory.
    fn volume(&mut self, name: &str, place: &str, read_only: bool) {
        self.spec.volumes.push(SpecVolume {
            source: self.path(name),
            place: place.into(),
            read_only,
        });
    }

    fn start(&mut self) {
        let file = self.path("spec.json");
        let text = serde_json::to_vec(&self.spec).expect("JSON");
        fs::write(&file, text).expect("writable");
        let mut child = Command::new(monitor())
            .arg("--spec")
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the monitor starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("UTF-8");
        let ready: Ready = serde_json::from_str(&line).expect("a line of JSON");
        assert_eq!(ready, Ready::Started);
        self.child = Some(child);
    }

    fn ask(&self, request: &Request) -> Reply {
        ask(&self.path("control.sock"), request, WAIT).expect("the monitor answers")
    }

    fn update_memory(&self, mib: u64) -> Reply {
        self.ask(&Request::Update(Update {
            memory_bytes: Some(mib << 20),
            cpus: None,
        }))
    }

    /// Texts of the log so far.
    fn lines(&self) -> Vec<String> {
        let log = fs::read_to_string(self.path("0.log")).expect("there is a log");
        let text = |line: &str| line.splitn(4, ' ').nth(3).map(str::to_owned);
        log.lines().filter_map(text).collect()
    }

    /// Waits for the line with this number.
    fn line(&self, number: usize) -> String {
        let start = Instant::now();
        while start.elapsed() < WAIT {
            if let Some(line) = self.lines().into_iter().nth(number) {
                return line;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("no line {number}: {:?}", self.lines());
    }

    fn ended(&mut self) -> Ending {
        let status = self
            .child
            .take()
            .expect("it was started")
            .wait()
            .expect("ours");
        let ending = Ending::read(&self.path("exit.json")).expect("the end is recorded");
        assert_eq!(status.code(), Some(ending.exit_code), "{:?}", self.lines());
        ending
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It is gone, or an assertion failed: nothing may stay.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn a_program_is_who_and_where_the_pod_says() {
    if !kvm("a_program_is_who_and_where_the_pod_says") {
        return;
    }
    let mut container = Container::new(&["facts"]);
    for (name, text) in [
        ("resolv", "nameserver 192.0.2.1\n"),
        ("hosts", "192.0.2.2 db\n"),
        ("hostname", "pod-name\n"),
        ("last", ""),
    ] {
        fs::write(container.path(name), text).expect("writable");
    }
    fs::create_dir_all(container.path("outer")).expect("writable");
    fs::create_dir_all(container.path("inner")).expect("writable");
    fs::write(container.path("inner/file"), "nested\n").expect("writable");
    container.volume("resolv", "/etc/resolv.conf", true);
    container.volume("hosts", "/etc/hosts", false);
    container.volume("hostname", "/etc/hostname", true);
    container.volume("inner", "/outer/inner", true);
    container.volume("outer", "/outer", false);
    container.volume("last", "/dev/termination-log", false);
    container.spec.user = Some("daemon:2".to_owned());
    container.spec.groups = vec![4242];
    container.spec.image_groups = false;
    container.spec.no_new_privileges = true;
    for name in ["outer", "last"] {
        let anybody = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        fs::set_permissions(container.path(name), anybody).expect("ours");
    }
    container.start();
    let ending = container.ended();
    let lines = container.lines();
    assert_eq!(
        (ending.exit_code, ending.reason.as_str()),
        (0, "Completed"),
        "{lines:?}"
    );
    assert_eq!(
        lines,
        [
            "user 1 1 2 home /usr/sbin",
            "groups 4242 2",
            "host pod-name directory /work/here variable value",
            "no new privileges 1 cpus 2",
            "/etc/resolv.conf: nameserver 192.0.2.1",
            "/etc/hosts: 192.0.2.2 db",
            "/etc/hostname: pod-name",
            "/outer/inner/file: nested",
        ]
    );
    let read = |name| fs::read_to_string(container.path(name)).expect("there");
    assert_eq!(read("last"), "last words\n");
    assert_eq!(read("outer/new"), "written\n");
}

#[test]
fn a_read_only_root_refuses_every_change() {
    if !kvm("a_read_only_root_refuses_every_change") {
        return;
    }
    let mut container = Container::new(&["readonly"]);
    fs::create_dir(container.path("data")).expect("writable");
    container.volume("data", "/data", false);
    container.spec.read_only_root = true;
    container.start();
    let ending = container.ended();
    assert_eq!(container.lines(), ["ok readonly"]);
    assert_eq!(ending.exit_code, 0);
}

#[test]
fn a_memory_limit_changes_while_the_program_runs() {
    if !kvm("a_memory_limit_changes_while_the_program_runs") {
        return;
    }
    const TELL: Request = Request::Signal(10);
    const TAKE: Request = Request::Signal(12);
    let mut container = Container::new(&["memory"]);
    container.start();
    assert_eq!(container.line(0), "ready 64");
    assert_eq!(container.update_memory(160), Reply::Done);
    container.ask(&TELL);
    assert_eq!(container.line(1), "total 160 wrong 0");
    for line in 2..4 {
        container.ask(&TAKE);
        assert_eq!(container.line(line), "total 160 wrong 0");
    }
    let Reply::Stats(usage) = container.ask(&Request::Stats) else {
        panic!("no usage");
    };
    assert!(usage.memory_used_bytes > 80 << 20, "{usage:?}");
    assert!(usage.memory_peak_bytes >= usage.memory_used_bytes);
    assert_eq!((usage.memory_limit_bytes, usage.threads), (160 << 20, 1));
    assert!(usage.upper_bytes > 0 && usage.upper_inodes > 1, "{usage:?}");
    // What it uses cannot be taken away; what it has not yet can.
    assert!(matches!(container.update_memory(64), Reply::Refused(why) if why.contains("uses")));
    assert_eq!(container.update_memory(100), Reply::Done);
    container.ask(&TELL);
    assert_eq!(container.line(4), "total 100 wrong 0");
    container.ask(&TAKE);
    let ending = container.ended();
    assert_eq!(
        (ending.exit_code, ending.reason.as_str()),
        (137, "OOMKilled")
    );
    assert!(
        ending.message.contains("limit of 100 MiB"),
        "{}",
        ending.message
    );
}

#[test]
fn a_swapped_directory_changes_at_once() {
    if !kvm("a_swapped_directory_changes_at_once") {
        return;
    }
    let mut container = Container::new(&["swap", "/config"]);
    let config = container.path("config");
    let version = |number: u32| {
        let name = format!("..{number}");
        let directory = config.join(&name);
        fs::create_dir_all(&directory).expect("writable");
        for file in ["a", "b"] {
            fs::write(directory.join(file), format!("version {number}")).expect("writable");
        }
        symlink(&name, config.join("..data_tmp")).expect("writable");
        fs::rename(config.join("..data_tmp"), config.join("..data")).expect("writable");
    };
    version(0);
    for file in ["a", "b"] {
        symlink(Path::new("..data").join(file), config.join(file)).expect("writable");
    }
    container.volume("config", "/config", true);
    container.start();
    assert_eq!(container.line(0), "ready");
    for number in 1..300 {
        version(number);
        std::thread::sleep(Duration::from_millis(1));
    }
    fs::write(config.join("stop"), "").expect("writable");
    let ending = container.ended();
    assert_eq!(container.lines()[1], "reads 1 changes 1 wrong 0");
    assert_eq!(ending.exit_code, 0);
}

#[test]
fn a_crash_and_a_missing_program_are_recorded() {
    if !kvm("a_crash_and_a_missing_program_are_recorded") {
        return;
    }
    let mut container = Container::new(&["memory"]);
    container.start();
    container.line(0);
    // SIGSEGV from outside ends it as one of its own, with a record.
    container.ask(&Request::Signal(11));
    let ending = container.ended();
    assert_eq!((ending.exit_code, ending.reason.as_str()), (139, "Error"));
    assert!(
        ending.message.starts_with("crash: SIGSEGV"),
        "{}",
        ending.message
    );
    let mut missing = Container::new(&[]);
    missing.spec.command = vec!["/nothing/here".into()];
    let file = missing.path("spec.json");
    fs::write(&file, serde_json::to_vec(&missing.spec).expect("JSON")).expect("writable");
    let output = Command::new(monitor())
        .arg("--spec")
        .arg(file)
        .output()
        .expect("starts");
    let ready: Ready = serde_json::from_slice(&output.stdout).expect("a line of JSON");
    assert!(matches!(ready, Ready::Failed(why) if why.contains("/nothing/here")));
    let ending = Ending::read(&missing.path("exit.json")).expect("recorded");
    assert_eq!(
        (ending.exit_code, ending.reason.as_str()),
        (127, "StartError")
    );
}
