//! Runs a command under a deadline and holds what came of it. Every
//! expectation that fails prints both streams.

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than anything under test takes, on a slow machine.
const DEADLINE: Duration = Duration::from_secs(120);

/// What a command left behind.
#[derive(Debug)]
pub struct Outcome {
    /// The command line, to tell it apart in messages.
    pub command: String,
    /// Exit code; 128 + N where signal N ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// From start to end.
    pub elapsed: Duration,
}

/// Runs `command` with `stdin` as its input.
pub fn run(mut command: Command, stdin: Option<Vec<u8>>) -> Outcome {
    let described = format!("{command:?}");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let started = Instant::now();
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {described}: {error}"));
    let writer = child.stdin.take().map(|mut pipe| {
        // A child that does not read its input is no error of the test.
        thread::spawn(move || drop(pipe.write_all(&stdin.unwrap_or_default())))
    });
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let code = wait(&mut child, started);
    let finish =
        |reader: thread::JoinHandle<Vec<u8>>| reader.join().expect("reader does not panic");
    let outcome = Outcome {
        command: described,
        code: code.unwrap_or(-1),
        stdout: finish(stdout),
        stderr: finish(stderr),
        elapsed: started.elapsed(),
    };
    if let Some(writer) = writer {
        writer.join().expect("writer does not panic");
    }
    assert!(
        code.is_some(),
        "still running after {DEADLINE:?}, killed\n{}",
        outcome.story()
    );
    outcome
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read before an error is still worth showing.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

/// The exit code, or nothing where the child had to be killed.
fn wait(child: &mut Child, started: Instant) -> Option<i32> {
    loop {
        if let Some(status) = child.try_wait().expect("the child is ours") {
            return Some(
                status
                    .code()
                    .unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
            );
        }
        if started.elapsed() > DEADLINE {
            child.kill().expect("the child is ours");
            child.wait().expect("the child is ours");
            return None;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

impl Outcome {
    /// Standard output as text.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// All that is known, for a failure's message.
    pub fn story(&self) -> String {
        format!(
            "command: {}\nexit code {} after {:?}\n--- stdout ---\n{}\n--- stderr ---\n{}\n---",
            self.command,
            self.code,
            self.elapsed,
            shorten(&self.out()),
            shorten(&self.err()),
        )
    }

    /// The exit code is `code`.
    pub fn assert_code(&self, code: i32) -> &Self {
        assert!(
            self.code == code,
            "exit code {} instead of {code}\n{}",
            self.code,
            self.story()
        );
        self
    }

    /// Standard output is exactly `text`.
    pub fn assert_stdout(&self, text: &str) -> &Self {
        assert!(
            self.out() == text,
            "stdout is not {text:?}\n{}",
            self.story()
        );
        self
    }

    /// Standard output contains `words`.
    pub fn assert_stdout_has(&self, words: &str) -> &Self {
        assert!(
            self.out().contains(words),
            "stdout lacks {words:?}\n{}",
            self.story()
        );
        self
    }

    /// Standard error contains `words`.
    pub fn assert_stderr_has(&self, words: &str) -> &Self {
        assert!(
            self.err().contains(words),
            "stderr lacks {words:?}\n{}",
            self.story()
        );
        self
    }

    /// Standard error does not contain `words`.
    pub fn assert_stderr_lacks(&self, words: &str) -> &Self {
        assert!(
            !self.err().contains(words),
            "stderr has {words:?}\n{}",
            self.story()
        );
        self
    }

    /// Exit code and standard output are those of `other`.
    pub fn assert_same(&self, other: &Self) -> &Self {
        let same = self.code == other.code && self.stdout == other.stdout;
        assert!(
            same,
            "guest and native differ\nguest: {}\nnative: {}",
            self.story(),
            other.story()
        );
        self
    }

    /// The command failed before any guest ran: exit code 125, exactly one
    /// line, which begins with `unikiln: ` and holds all of `words`.
    pub fn assert_own_failure(&self, words: &[&str]) -> &Self {
        self.assert_code(125);
        let err = self.err();
        let one_line = err.trim_end().lines().count() == 1 && err.starts_with("unikiln: ");
        assert!(one_line, "not one clear error line\n{}", self.story());
        assert!(!err.contains("panicked"), "a panic\n{}", self.story());
        for word in words {
            self.assert_stderr_has(word);
        }
        self
    }
}

/// Both ends of a long text.
fn shorten(text: &str) -> String {
    const KEEP: usize = 6000;
    if text.len() <= 2 * KEEP {
        return text.to_owned();
    }
    let head = text.floor_char_boundary(KEEP);
    let tail = text.ceil_char_boundary(text.len() - KEEP);
    format!(
        "{}\n[… {} bytes …]\n{}",
        &text[..head],
        tail - head,
        &text[tail..]
    )
}
