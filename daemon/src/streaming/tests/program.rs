//! Programs for tests: shells of this machine, and packets as conmon sends them.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::super::program::Open;
use super::*;
use crate::handler::HandlerError;
use crate::handler::streams::{Attached, Output, Program, Size, Streams};

/// Three streams, as `kubectl exec -i` wants them.
pub(super) const ALL: Streams = Streams {
    stdin: true,
    stdout: true,
    stderr: true,
    tty: false,
};
/// A terminal's, as `kubectl exec -it` wants them.
pub(super) const TERMINAL: Streams = Streams {
    stderr: false,
    tty: true,
    ..ALL
};

/// What was done with a program.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) sizes: Mutex<Vec<Size>>,
    pub(super) left: AtomicBool,
}

impl Seen {
    pub(super) async fn wait(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let wait = async {
            while !is_so(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(60), wait).await;
        waited.unwrap_or_else(|_| panic!("{what}: {self:?}"));
    }

    pub(super) fn has_left(&self) -> bool {
        self.left.load(Ordering::Relaxed)
    }
}

/// A shell that runs `script`.
pub(super) fn shell(script: &'static str) -> (Open, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    let shared = Arc::clone(&seen);
    let open = move || {
        let mut child = Command::new("sh")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("sh");
        let pid = Pid::from_child(&child);
        Ok(Attached {
            stdin: child.stdin.take().map(OwnedFd::from),
            output: Output::Files {
                stdout: child.stdout.take().map(OwnedFd::from),
                stderr: child.stderr.take().map(OwnedFd::from),
            },
            ended: Some(pidfd_open(pid, PidfdFlags::empty()).expect("pidfd")),
            program: Box::new(Shell {
                child: Mutex::new(child),
                seen: shared,
            }),
        })
    };
    (Box::new(open), seen)
}

#[derive(Debug)]
struct Shell {
    child: Mutex<Child>,
    seen: Arc<Seen>,
}

impl Program for Shell {
    fn resize(&self, size: Size) -> io::Result<()> {
        self.seen.sizes.lock().unwrap().push(size);
        Ok(())
    }

    fn exit_code(&self) -> Result<i32, HandlerError> {
        Ok(self.child.lock().unwrap().wait().unwrap().code().unwrap())
    }

    fn leave(self: Box<Self>) {
        let mut child = self.child.lock().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        self.seen.left.store(true, Ordering::Relaxed);
    }
}

/// A program behind a socket of packets; the other end of it.
pub(super) fn packets() -> (Open, OwnedFd) {
    let (near, far) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .unwrap();
    let open = move || {
        Ok(Attached {
            stdin: Some(near.try_clone().unwrap()),
            output: Output::Packets(near),
            ended: None,
            program: Box::new(Held),
        })
    };
    (Box::new(open), far)
}

#[derive(Debug)]
struct Held;

impl Program for Held {
    fn resize(&self, _: Size) -> io::Result<()> {
        Ok(())
    }

    fn exit_code(&self) -> Result<i32, HandlerError> {
        Ok(0)
    }

    fn leave(self: Box<Self>) {}
}

/// A program that cannot be opened.
pub(super) fn broken() -> Open {
    Box::new(|| Err(HandlerError::Failed("no such \"thing\"".to_owned())))
}

/// What `Status` says: success, or the reason and the exit code.
pub(super) fn verdict(status: &[u8]) -> String {
    let status: serde_json::Value = serde_json::from_slice(status).expect("a Status");
    assert_eq!(status["metadata"], serde_json::json!({}));
    match status["status"].as_str() {
        Some("Success") => "Success".to_owned(),
        Some("Failure") => {
            let cause = &status["details"]["causes"][0];
            let reason = status["reason"].as_str().expect("a reason");
            format!("{reason}: {}", cause["message"].as_str().expect("a cause"))
        }
        _ => panic!("{status}"),
    }
}
