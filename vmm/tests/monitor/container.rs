//! `--spec`: what the daemon hears, the control socket, the log, the record of the end.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use unikiln_vmm::config::Processes;
use unikiln_vmm::container::{Ending, Ready};
use unikiln_vmm::control::{Reply, Request, Update, ask};
use unikiln_vmm::spec::{SPEC_VERSION, Spec, SpecNetwork};

use crate::assembled::{Guest, guest};

const VMM: &str = env!("CARGO_BIN_EXE_unikiln-vmm");
const WAIT: Duration = Duration::from_secs(20);
/// A guest that tells of its start and waits for ever; it leaves by a signal's upcall.
const WAITS: &str = "main:  CALL 36
                     wait:  CALL WAIT, 0xffffffffffffffff, 2
                            movabs $DIRECT, %rbx
                            add 80(%r14), %rbx
                            xor %eax, %eax
                            xchg %rax, 48(%rbx)
                            bsf %rax, %rax
                            jz wait
                            add $129, %rax
                            movq $0, 0(%r15)
                            ARG 1, %rax
                            movq $0, 16(%r15)
                            movq $0, 24(%r15)
                            DO EXIT";

/// A container's directory, whose name is longer than a socket's address may be.
struct Container {
    directory: TempDir,
    spec: Spec,
    _guest: Guest,
}

impl Container {
    fn new(source: &str) -> Self {
        let guest = guest(source);
        let directory = tempfile::Builder::new()
            .prefix(&"d".repeat(120))
            .tempdir()
            .unwrap();
        let path = |name: &str| Some(directory.path().join(name));
        let spec = Spec {
            version: SPEC_VERSION,
            unikernel: guest.write(),
            command: vec![],
            args: vec![],
            env: vec![],
            working_dir: None,
            hostname: "pod".into(),
            user: None,
            groups: vec![],
            image_groups: true,
            read_only_root: false,
            no_new_privileges: false,
            processes: Processes::default(),
            pids_limit: None,
            volumes: vec![],
            memory_bytes: 64 << 20,
            cpus: 1,
            network: SpecNetwork::None,
            log: path("0.log"),
            strace: None,
            stats: None,
            cgroup_procs: vec![],
            oom_score_adj: None,
            control: path("control.sock"),
            exit: path("exit.json"),
        };
        Self {
            directory,
            spec,
            _guest: guest,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn spawn(&self) -> (Child, Ready) {
        let file = self.path("spec.json");
        fs::write(&file, serde_json::to_vec(&self.spec).unwrap()).unwrap();
        let mut child = Command::new(VMM)
            .arg("--spec")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(self.path("monitor.log")).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.as_mut().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("{line:?}: {error}\n{}", self.text("monitor.log")));
        (child, ready)
    }

    fn start(&self) -> Child {
        let (child, ready) = self.spawn();
        assert_eq!(ready, Ready::Started);
        child
    }

    fn ask(&self, request: &Request) -> Reply {
        ask(&self.path("control.sock"), request, WAIT).unwrap()
    }

    /// Sends a deadly signal: the monitor may be gone before it answers.
    fn kill(&self, signal: u32) {
        match ask(&self.path("control.sock"), &Request::Signal(signal), WAIT) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {}
            answer => assert_eq!(answer.unwrap(), Reply::Done),
        }
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Waits for the end: its record, once the process is gone.
    fn ended(&self, child: &mut Child) -> Ending {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if start.elapsed() > WAIT {
                child.kill().unwrap();
                panic!("the monitor does not end");
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let ending = Ending::read(&self.path("exit.json")).unwrap();
        assert_eq!(status.code(), Some(ending.exit_code));
        assert!(!self.path("exit.json.tmp").exists());
        ending
    }

    /// A connection that says what no client of ours says.
    fn connect(&self) -> UnixStream {
        let directory = fs::File::open(self.directory.path()).unwrap();
        let fd = std::os::fd::AsRawFd::as_raw_fd(&directory);
        let stream = UnixStream::connect(format!("/proc/self/fd/{fd}/control.sock")).unwrap();
        stream.set_read_timeout(Some(WAIT)).unwrap();
        stream
    }
}

/// The texts of log lines.
fn texts(log: &str) -> Vec<String> {
    assert!(log.is_empty() || log.ends_with('\n'), "{log:?}");
    let text = |line: &str| line.splitn(4, ' ').nth(3).map(str::to_owned);
    log.lines().map(|line| text(line).unwrap()).collect()
}

#[test]
fn a_container_leaves_its_log_and_its_end() {
    let mut container = Container::new(
        "main: CALL 36\n CALL 36\n PRINT text, 3\n FINISH 3\n text: .ascii \"hi\\n\"",
    );
    let procs = container.path("cgroup.procs");
    fs::write(&procs, "").unwrap();
    container.spec.cgroup_procs = vec![procs];
    container.spec.stats = Some(unikiln_vmm::StatsFormat::Json);
    let mut child = container.start();
    let mut rest = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty(), "one line is told");
    let ending = container.ended(&mut child);
    assert_eq!((ending.exit_code, ending.reason.as_str()), (3, "Error"));
    assert_eq!(ending.message, "");
    assert!(ending.started_at_ns.unwrap() <= ending.finished_at_ns);
    let texts = texts(&container.text("0.log"));
    assert_eq!(texts[0], "hi");
    assert!(
        texts[1].starts_with("unikiln: stats: {\"phases\""),
        "{texts:?}"
    );
    assert_eq!(container.text("cgroup.procs"), child.id().to_string());
    assert_eq!(container.text("monitor.log"), "");
}

#[test]
fn what_prevents_a_start_is_told_and_recorded() {
    let mut container = Container::new("main: FINISH 0");
    // It ends well, but its program never ran.
    let (mut child, ready) = container.spawn();
    assert!(matches!(ready, Ready::Failed(why) if why.contains("before its program ran")));
    assert_eq!(container.ended(&mut child).reason, "StartError");
    for (change, words) in [
        (
            Box::new(|spec: &mut Spec| spec.memory_bytes = 0) as Box<dyn Fn(&mut Spec)>,
            "too little",
        ),
        (Box::new(|spec| spec.cpus = 99), "99 CPUs"),
        (
            Box::new(|spec| spec.network = SpecNetwork::Namespace("/nonexistent".into())),
            "/nonexistent",
        ),
        (
            Box::new(|spec| spec.cgroup_procs = vec!["/nonexistent/cgroup.procs".into()]),
            "cannot enter the cgroup",
        ),
        (
            Box::new(|spec| spec.unikernel = "/nonexistent.uk".into()),
            "cannot open /nonexistent.uk",
        ),
        (
            Box::new(|spec| spec.groups = (0..65).collect()),
            "65 groups",
        ),
    ] {
        if words == "too little" {
            container._guest = guest("main: FINISH 0")
                .manifest(|manifest| manifest.minimum_memory_bytes = 48 << 20);
            container.spec.unikernel = container._guest.write();
        }
        let before = container.spec.clone();
        change(&mut container.spec);
        let (mut child, ready) = container.spawn();
        let Ready::Failed(why) = ready else {
            panic!("it started: {words}");
        };
        assert!(why.contains(words), "{why}");
        let ending = container.ended(&mut child);
        assert_eq!(
            (ending.exit_code, ending.reason.as_str()),
            (125, "StartError")
        );
        assert_eq!((ending.message, ending.started_at_ns), (why, None));
        container.spec = before;
    }
}

#[test]
fn signals_come_by_the_socket() {
    for (signal, code) in [(15, 143), (10, 138), (9, 137), (34, 162)] {
        let container = Container::new(WAITS);
        let mut child = container.start();
        let socket = fs::metadata(container.path("control.sock")).unwrap();
        assert_eq!(socket.permissions().mode() & 0o777, 0o600);
        container.kill(signal);
        let ending = container.ended(&mut child);
        assert_eq!((ending.exit_code, ending.reason.as_str()), (code, "Error"));
        assert!(ask(&container.path("control.sock"), &Request::Ping, WAIT).is_err());
    }
}

#[test]
fn a_guest_that_computes_is_killed() {
    let container = Container::new("main: CALL 36\n spin: jmp spin");
    let mut child = container.start();
    container.kill(9);
    assert_eq!(container.ended(&mut child).exit_code, 137);
}

#[test]
fn bad_requests_get_words_and_hurt_nobody() {
    let container = Container::new(WAITS);
    let mut child = container.start();
    // More connections than there may be, that say nothing or never end a line.
    let stalled: Vec<UnixStream> = (0..20).map(|_| container.connect()).collect();
    for stream in &stalled {
        // Those that had to go for others do not take it.
        let _ = (&*stream).write_all(b"{\"signal\":");
    }
    for line in [
        "",
        "{",
        "null",
        "\"pong\"",
        "{\"signal\":99}",
        "{\"signal\":0}",
        "[]",
    ] {
        let stream = container.connect();
        (&stream)
            .write_all(format!("{line}\n\"ping\"\n").as_bytes())
            .unwrap();
        let mut lines = BufReader::new(&stream).lines();
        let mut reply = || serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert!(matches!(reply(), Reply::Refused(_)), "{line}");
        assert!(matches!(reply(), Reply::Pong { pid, .. } if pid == child.id()));
    }
    // A line without an end.
    let stream = container.connect();
    let mut sent = 0;
    while let Ok(count @ 1..) = (&stream).write(&[b'x'; 4096]) {
        sent += count;
        assert!(sent < 64 << 20, "it reads for ever");
    }
    assert!(matches!(container.ask(&Request::Stats), Reply::Stats(_)));
    assert_eq!(container.ask(&Request::Signal(15)), Reply::Done);
    assert_eq!(container.ended(&mut child).exit_code, 143);
}

#[test]
fn limits_and_usage_are_asked_for() {
    let container = Container::new(WAITS);
    let mut child = container.start();
    let update =
        |memory_bytes, cpus| container.ask(&Request::Update(Update { memory_bytes, cpus }));
    assert_eq!(update(Some(128 << 20), None), Reply::Done);
    let Reply::Stats(usage) = container.ask(&Request::Stats) else {
        panic!("no usage");
    };
    assert_eq!(usage.memory_limit_bytes, 128 << 20);
    assert_eq!(usage.exits["started"], 1);
    assert!(matches!(update(None, Some(4)), Reply::Refused(why) if why.contains("vCPUs")));
    assert!(matches!(update(Some(1 << 60), None), Reply::Refused(why) if why.contains("fit")));
    assert_eq!(update(None, None), Reply::Done);
    container.ask(&Request::Signal(9));
    container.ended(&mut child);
}

/// Writes 30,000 numbered lines, one a call.
const WRITER: &str = "main:  CALL 36
        mov $30000, %ebp
        line: movabs $text, %rsi
        mov %r13, %rdi
        mov $12, %ecx
        rep movsb
        movq $1, 0(%r15)
        ARG 1, %r12
        movq $12, 16(%r15)
        DO LOG
        movabs $text, %rsi
        add $10, %rsi
        next: incb (%rsi)
        cmpb $58, (%rsi)
        jne counted
        movb $48, (%rsi)
        dec %rsi
        jmp next
        counted: dec %ebp
        jnz line
        FINISH 0
        .data
        text: .ascii \"line 000000\\n\"
        .text";

#[test]
fn rotation_loses_tears_and_doubles_no_line() {
    let container = Container::new(WRITER);
    let mut child = container.start();
    let log = container.path("0.log");
    let mut files = Vec::new();
    for number in 0..50 {
        let to = container.path(&format!("0.log.{number}"));
        fs::rename(&log, &to).unwrap();
        let reply = ask(&container.path("control.sock"), &Request::ReopenLog, WAIT);
        files.push(to);
        if !matches!(reply, Ok(Reply::Done)) {
            // It has ended.
            break;
        }
    }
    let ending = container.ended(&mut child);
    assert_eq!((ending.exit_code, ending.reason.as_str()), (0, "Completed"));
    if log.exists() {
        files.push(log);
    }
    let lines: Vec<String> = (files.iter())
        .flat_map(|file| texts(&fs::read_to_string(file).unwrap()))
        .collect();
    assert_eq!(lines.len(), 30_000);
    for (number, line) in lines.iter().enumerate() {
        assert_eq!(line, &format!("line {number:06}"));
    }
}

#[test]
fn a_description_that_is_none_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("spec.json");
    for text in ["", "{\"version\":1}", "{\"version\":7}"] {
        fs::write(&file, text).unwrap();
        let run = |path: &Path| Command::new(VMM).arg("--spec").arg(path).output().unwrap();
        let output = run(&file);
        assert_eq!(output.status.code(), Some(125));
        let ready: Ready = serde_json::from_slice(&output.stdout).unwrap();
        assert!(matches!(ready, Ready::Failed(_)));
        assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 1);
    }
}
