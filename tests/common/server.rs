//! A guest that serves at ports of this machine until SIGTERM. What it writes is
//! kept, and printed by whatever fails while it runs.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::image::tool;
use super::{Outcome, outcome};

/// Longer than anything here takes, on a slow machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// With so many system calls, those at the start count for little.
const CALLS_MANY: u64 = 10_000;

/// They start a thread or a process for each request, and the end of one traps: the C
/// library's loop around exit(2) has no room for a jump.
const THREAD_EACH: [&str; 1] = ["flask"];

/// A port below those that kernels choose, with TCP and UDP free just now; another
/// one each time.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + (std::process::id() as u16 % 25) * 400;
    for _ in 0..400 {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed) % 400;
        let at = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        if TcpListener::bind(at).is_ok() && UdpSocket::bind(at).is_ok() {
            return port;
        }
    }
    panic!("none of the ports from {first} on is free")
}

/// The statistics of a guest that has ended.
pub fn stats(outcome: &Outcome) -> serde_json::Value {
    let stderr = outcome.err();
    let stats = stderr.lines().rev().find(|line| line.starts_with('{'));
    serde_json::from_str(stats.expect("statistics")).expect("JSON")
}

/// What a guest has written so far.
type Log = Arc<Mutex<Vec<u8>>>;

/// See the module documentation.
#[derive(Debug)]
pub struct Server {
    name: &'static str,
    child: Child,
    started: Instant,
    command: String,
    stdout: Log,
    stderr: Log,
    readers: Vec<JoinHandle<()>>,
}

impl Server {
    /// `unikiln run OPTIONS FILE ARGS`.
    pub fn start<S: AsRef<OsStr>>(
        name: &'static str,
        options: impl IntoIterator<Item = S>,
        file: impl AsRef<OsStr>,
        args: &[&str],
    ) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_unikiln"));
        command
            .args(["run", "--stats=json"])
            .args(options)
            .arg(file)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("unikiln starts");
        let (stdout, stderr) = (Log::default(), Log::default());
        let readers = vec![
            collect(child.stdout.take().expect("piped"), &stdout),
            collect(child.stderr.take().expect("piped"), &stderr),
        ];
        Self {
            name,
            child,
            started: Instant::now(),
            command: format!("{command:?}"),
            stdout,
            stderr,
            readers,
        }
    }

    /// A server of port `guest`, which is the port that comes back here.
    pub fn publish(
        name: &'static str,
        guest: u16,
        options: &[&str],
        file: impl AsRef<OsStr>,
        args: &[&str],
    ) -> (Self, u16) {
        let port = free_port();
        let mapping = format!("{port}:{guest}");
        let options = [options, &["-p", &mapping]].concat();
        let mut server = Self::start(name, options, file, args);
        drop(server.connect((Ipv4Addr::LOCALHOST, port).into()));
        (server, port)
    }

    /// Connects as soon as somebody listens.
    pub fn connect(&mut self, at: SocketAddr) -> TcpStream {
        loop {
            match TcpStream::connect(at) {
                Ok(stream) => {
                    for set in [TcpStream::set_read_timeout, TcpStream::set_write_timeout] {
                        set(&stream, Some(PATIENCE)).expect("a time");
                    }
                    return stream;
                }
                Err(error) => self.waits_for(&format!("a connection to {at} ({error})")),
            }
        }
    }

    /// Waits for these words of its log.
    pub fn says(&mut self, words: &str) {
        self.says_times(words, 1);
    }

    /// Waits until its log has these words so many times.
    pub fn says_times(&mut self, words: &str, times: usize) {
        while self.outcome(-1).out().matches(words).count() < times {
            self.waits_for(&format!("the words {words:?}"));
        }
    }

    /// A moment of waiting for something, while it runs.
    pub fn waits_for(&mut self, what: &str) {
        let status = self.child.try_wait().expect("ours");
        assert!(
            status.is_none(),
            "{} ended ({status:?}) before {what}",
            self.name
        );
        assert!(
            self.started.elapsed() < PATIENCE,
            "{}: no {what} after {PATIENCE:?}",
            self.name
        );
        thread::sleep(Duration::from_millis(20));
    }

    /// Open files of the monitor.
    fn files(&self) -> usize {
        let listed = fs::read_dir(format!("/proc/{}/fd", self.child.id()));
        listed.expect("it runs").count()
    }

    /// Resident memory of the monitor and its guest, in KiB.
    pub fn memory_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        number
            .and_then(|number| number.parse().ok())
            .expect("a number of KiB")
    }

    /// CPU time of the monitor and its guest so far, in seconds.
    pub fn cpu_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let stat = stat.expect("it runs");
        // Behind the name in parentheses: the 14th and 15th field are ticks (proc(5)).
        let (_, rest) = stat.rsplit_once(") ").expect("a name");
        let ticks = rest.split(' ').skip(11).take(2);
        let ticks = ticks.map(|word| word.parse::<f64>().expect("a number"));
        ticks.sum::<f64>() / 100.0
    }

    /// Open files of the monitor while no client is connected: the fewest in a second,
    /// as clients that were just here may not be gone yet.
    pub fn files_at_rest(&self) -> usize {
        let samples = (0..20).map(|_| {
            thread::sleep(Duration::from_millis(50));
            self.files()
        });
        samples.min().expect("there are some")
    }

    /// Waits until the monitor has no more open files than these.
    pub fn settles_at(&self, files: usize) {
        let since = Instant::now();
        while self.files() > files {
            let now = self.files();
            assert!(since.elapsed() < PATIENCE, "{now} files, not {files}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends SIGTERM and waits for this exit code.
    pub fn ends(mut self, code: i32) -> Outcome {
        tool("kill", &["-TERM", &self.child.id().to_string()]);
        let since = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("ours") {
                break status;
            }
            assert!(
                since.elapsed() < PATIENCE,
                "{} runs {PATIENCE:?} after SIGTERM",
                self.name
            );
            thread::sleep(Duration::from_millis(10));
        };
        for reader in self.readers.drain(..) {
            reader.join().expect("it does not panic");
        }
        let ended = status
            .code()
            .unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        let outcome = self.outcome(ended);
        outcome
            .assert_code(code)
            .assert_stderr_lacks("unikiln: crash")
            .assert_stderr_lacks("panic");
        self.enters_directly(&stats(&outcome));
        outcome
    }

    /// The share of system calls that did not trap, where there were many.
    fn enters_directly(&self, stats: &serde_json::Value) {
        let count = |name: &str| stats["libos"][name].as_u64().expect("a number");
        let (direct, trapped) = (count("syscalls_direct"), count("syscalls_trapped"));
        eprintln!("{}: {direct} calls direct, {trapped} trapped", self.name);
        assert!(
            THREAD_EACH.contains(&self.name)
                || direct + trapped < CALLS_MANY
                || trapped * 100 <= direct + trapped,
            "{}: of {} calls {trapped} trapped",
            self.name,
            direct + trapped
        );
    }

    fn outcome(&self, code: i32) -> Outcome {
        let bytes = |log: &Log| log.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Outcome {
            command: self.command.clone(),
            code,
            stdout: bytes(&self.stdout),
            stderr: bytes(&self.stderr),
            elapsed: self.started.elapsed(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It is over where the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("{}:\n{}", self.name, self.outcome(-1).story());
        }
    }
}

fn collect(mut pipe: impl Read + Send + 'static, log: &Log) -> JoinHandle<()> {
    let log = Arc::clone(log);
    thread::spawn(move || {
        let mut some = [0; 4096];
        while let Ok(count @ 1..) = pipe.read(&mut some) {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.extend_from_slice(&some[..count]);
        }
    })
}

/// A client of this machine, which must succeed.
pub fn client<S: AsRef<OsStr>>(program: &str, words: impl IntoIterator<Item = S>) -> Outcome {
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::null());
    let outcome = outcome::run(command, None);
    outcome.assert_code(0);
    outcome
}

/// What `curl OPTIONS URL` prints.
pub fn curl(options: &[&str], url: &str) -> String {
    let always = ["-q", "-sS", "--noproxy", "*", "--max-time", "90"];
    client("curl", [&always, options, &[url]].concat()).out()
}

/// Drives a server by wrk for a second; it must answer all requests rightly.
pub fn wrk(connections: u16, url: &str) {
    let connections = connections.to_string();
    let words = [
        "-t",
        "1",
        "-d",
        "2s",
        "--timeout",
        "60s",
        "-c",
        &connections,
        url,
    ];
    let outcome = client("wrk", words);
    outcome.assert_stdout_has("Requests/sec:");
    let out = outcome.out();
    for wrong in ["Non-2xx", "Socket errors"] {
        assert!(!out.contains(wrong), "{}", outcome.story());
    }
    let served = out
        .split_once(" requests in ")
        .and_then(|(before, _)| before.split_whitespace().last()?.parse().ok());
    assert!(served > Some(0_u64), "{}", outcome.story());
}
