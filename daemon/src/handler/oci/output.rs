//! What a program writes, up to a limit of bytes and of time.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::process;

/// How long output is waited for that somebody else still holds open.
const DRAIN: Duration = Duration::from_secs(2);
const CHUNK_BYTES: usize = 64 << 10;

/// What a program gave.
#[derive(Debug)]
pub(super) struct Output {
    /// None where the time was up first; the program is still there then.
    pub(super) status: Option<ExitStatus>,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

/// Reads both streams of `child`, which are pipes, until it has ended. What is over
/// `limit_bytes` of each is read and dropped, so that the program goes on.
pub(super) fn collect(
    child: &mut Child,
    limit_bytes: usize,
    limit: Option<Duration>,
) -> io::Result<Output> {
    let mut streams = [
        Stream::new(child.stdout.take().map(OwnedFd::from))?,
        Stream::new(child.stderr.take().map(OwnedFd::from))?,
    ];
    let handle = process::open(child.id() as i32);
    let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
    let mut ended: Option<(ExitStatus, Instant)> = None;
    loop {
        if ended.is_none()
            && let Some(status) = child.try_wait()?
        {
            ended = Some((status, Instant::now() + DRAIN));
        }
        let is_drained = streams.iter().all(|stream| stream.file.is_none());
        let until = match &ended {
            Some((_, until)) => Some(*until),
            None => deadline,
        };
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        if (ended.is_some() && is_drained) || left.is_some_and(|left| left.is_zero()) {
            break;
        }
        let mut waited: Vec<_> = streams
            .iter()
            .filter_map(|stream| stream.file.as_ref())
            .map(|file| PollFd::new(file, PollFlags::IN))
            .collect();
        if ended.is_none()
            && let Some(handle) = &handle
        {
            waited.push(PollFd::from_borrowed_fd(handle.as_fd(), PollFlags::IN));
        }
        match poll(&mut waited, left.map(process::timespec).as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for stream in &mut streams {
            stream.read(limit_bytes)?;
        }
    }
    let [stdout, stderr] = streams;
    Ok(Output {
        status: ended.map(|(status, _)| status),
        stdout: stdout.bytes,
        stderr: stderr.bytes,
    })
}

struct Stream {
    /// None at its end.
    file: Option<std::fs::File>,
    bytes: Vec<u8>,
}

impl Stream {
    fn new(file: Option<OwnedFd>) -> io::Result<Self> {
        if let Some(file) = &file {
            rustix::io::ioctl_fionbio(file, true)?;
        }
        Ok(Self {
            file: file.map(std::fs::File::from),
            bytes: Vec::new(),
        })
    }

    /// Takes what is there.
    fn read(&mut self, limit_bytes: usize) -> io::Result<()> {
        let mut chunk = [0; CHUNK_BYTES];
        while let Some(file) = &mut self.file {
            match file.read(&mut chunk) {
                Ok(0) => self.file = None,
                Ok(len) => {
                    let room = limit_bytes.saturating_sub(self.bytes.len());
                    self.bytes.extend_from_slice(&chunk[..len.min(room)]);
                    // The other stream, and the clock, have their turn.
                    if len < CHUNK_BYTES {
                        break;
                    }
                    if room == 0 {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::collect;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    fn shell(text: &str, limit_bytes: usize, limit: Option<Duration>) -> super::Output {
        let mut child = Command::new("sh")
            .args(["-c", text])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("sh");
        let output = collect(&mut child, limit_bytes, limit).expect("collect");
        let _ = child.kill();
        child.wait().expect("wait");
        output
    }

    #[test]
    fn both_streams_and_the_exit_code_are_there() {
        let output = shell("echo out; echo err >&2; exit 7", 100, None);
        assert_eq!(output.stdout, b"out\n");
        assert_eq!(output.stderr, b"err\n");
        assert_eq!(output.status.expect("ended").code(), Some(7));
    }

    #[test]
    fn what_is_over_the_limit_does_not_stop_the_program() {
        let output = shell("head -c 3000000 /dev/zero; echo end >&2", 1000, None);
        assert_eq!(output.stdout.len(), 1000);
        assert_eq!(output.stderr, b"end\n");
    }

    #[test]
    fn time_is_up_for_a_program_that_says_nothing_or_too_much() {
        for text in ["exec sleep 60", "exec cat /dev/zero"] {
            let output = shell(text, 1000, Some(Duration::from_millis(100)));
            assert!(output.status.is_none(), "{text}");
        }
    }

    #[test]
    fn a_stream_that_a_child_keeps_open_is_not_waited_for() {
        let output = shell("sleep 60 & echo $!", 1000, None);
        assert_eq!(output.status.expect("ended").code(), Some(0));
        let pid = String::from_utf8(output.stdout).expect("a number");
        Command::new("kill").arg(pid.trim()).status().expect("kill");
    }
}
