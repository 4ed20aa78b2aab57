//! The log: where a guest's output goes.
//!
//! A guest hands over bytes with a stream; they are written before the
//! hypercall returns, so that nothing is lost when the monitor is killed.
//! [`raw`] passes them through, [`cri`] writes Kubernetes log lines. Where a container's
//! disk must not hold up its program, [`queue`] has a thread write them.

mod cri;
mod output;
mod queue;
mod raw;

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use unikiln_abi::log::{STREAM_LIBOS, STREAM_STDERR, STREAM_STDOUT};

use crate::memory::GuestSlice;
use cri::CriSink;
use output::Output;
use queue::QueuedSink;
use raw::RawSink;

pub use queue::Reopener;

/// Errors of this module.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Standard output or standard error is closed.
    #[error(
        "cannot use standard output and standard error for the log; redirect them or name a file with --log-file"
    )]
    Inherit(#[source] io::Error),
    /// The log file could not be opened.
    #[error("cannot open the log file {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Only a log with a thread of its own can be opened anew.
    #[error("this log cannot be opened anew")]
    Fixed,
    /// The disk holds up the thread that writes.
    #[error("the disk of the log file takes nothing; it is opened anew once it does")]
    Stuck,
}

/// Who wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// The program's standard output.
    Stdout,
    /// The program's standard error.
    Stderr,
    /// libOS and monitor; shown on standard error, each write at least one whole line.
    Libos,
}

impl Stream {
    /// By its number in the contract.
    pub fn from_abi(number: u64) -> Option<Self> {
        match number {
            STREAM_STDOUT => Some(Self::Stdout),
            STREAM_STDERR => Some(Self::Stderr),
            STREAM_LIBOS => Some(Self::Libos),
            _ => None,
        }
    }
}

/// Shape of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Bytes as the guest wrote them.
    #[default]
    Raw,
    /// Kubernetes log lines.
    Cri,
}

/// Where the log goes.
#[derive(Debug, Default)]
pub enum LogTarget {
    /// Standard output and standard error; in [`LogFormat::Cri`] all to standard output.
    #[default]
    Inherit,
    /// Appended to a file.
    Path(PathBuf),
    /// Appended to a file as Kubernetes log lines by a thread, see [`queue`]. The file can be
    /// opened anew.
    Queued(PathBuf),
    /// Open files; in [`LogFormat::Cri`] all to the first.
    Files {
        /// Standard output.
        stdout: File,
        /// Standard error.
        stderr: File,
    },
}

#[derive(Debug)]
enum Sink {
    Raw(RawSink),
    Cri(CriSink),
    Queued(QueuedSink),
}

/// Most bytes that are remembered of a line.
const WORDS_MAX_BYTES: usize = 1024;

/// An open log.
#[derive(Debug)]
pub struct Log {
    sink: Sink,
    first_tsc: Option<u64>,
    bytes: u64,
    /// First line of a crash record.
    record_line: Option<String>,
    /// Last line that the libOS or the monitor wrote of itself.
    own_line: Option<String>,
}

impl Log {
    /// Opens the target.
    pub fn open(format: LogFormat, target: LogTarget) -> Result<Self, LogError> {
        let sink = if let LogTarget::Queued(path) = target {
            Sink::Queued(QueuedSink::open(path)?)
        } else {
            let (stdout, stderr) = Output::open(target)?;
            match format {
                LogFormat::Raw => Sink::Raw(RawSink::new(stdout, stderr)),
                LogFormat::Cri => Sink::Cri(CriSink::new(stdout)),
            }
        };
        Ok(Self {
            sink,
            first_tsc: None,
            bytes: 0,
            record_line: None,
            own_line: None,
        })
    }

    /// Writes guest bytes, all of them.
    pub fn write_guest(&mut self, stream: Stream, bytes: &GuestSlice<'_>) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        let result = match &mut self.sink {
            Sink::Raw(sink) if stream != Stream::Libos => sink.write_guest(stream, bytes),
            _ => {
                let mut copy = vec![0; bytes.len()];
                bytes.copy_to(&mut copy);
                self.write(stream, &copy)
            }
        };
        if self.first_tsc.is_none() && stream != Stream::Libos {
            self.first_tsc = Some(crate::clock::read_tsc());
        }
        result
    }

    /// Writes a crash record.
    pub fn write_record(&mut self, bytes: &GuestSlice<'_>) -> io::Result<()> {
        let result = self.write_guest(Stream::Libos, bytes);
        let mut start = vec![0; bytes.len().min(WORDS_MAX_BYTES)];
        bytes.copy_to(&mut start);
        self.keep_record_line(&start);
        result
    }

    /// Writes a crash record of the monitor's own.
    pub fn write_own_record(&mut self, text: &str) -> io::Result<()> {
        self.keep_record_line(text.as_bytes());
        self.write_text(text)
    }

    fn keep_record_line(&mut self, record: &[u8]) {
        self.record_line.get_or_insert_with(|| first_line(record));
    }

    /// Writes text of the monitor's own.
    pub fn write_text(&mut self, text: &str) -> io::Result<()> {
        self.write(Stream::Libos, text.as_bytes())
    }

    fn write(&mut self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        if stream == Stream::Libos
            && bytes.starts_with(b"unikiln: ")
            && !bytes.starts_with(b"unikiln: strace: ")
        {
            self.own_line = Some(first_line(bytes));
        }
        match &mut self.sink {
            Sink::Raw(sink) => sink.write(stream, bytes),
            Sink::Cri(sink) => sink.write(SystemTime::now(), stream, bytes),
            Sink::Queued(sink) => {
                sink.write(SystemTime::now(), stream, bytes);
                Ok(())
            }
        }
    }

    /// First line of a crash record, without the name of who wrote it.
    pub fn record_line(&self) -> Option<&str> {
        self.record_line.as_deref()
    }

    /// The last line about the guest that libOS and monitor wrote, in the same way.
    pub fn own_line(&self) -> Option<&str> {
        self.own_line.as_deref()
    }

    /// What opens the file anew; none where it cannot be.
    pub fn reopener(&self) -> Option<Reopener> {
        match &self.sink {
            Sink::Queued(sink) => Some(sink.reopener()),
            Sink::Raw(_) | Sink::Cri(_) => None,
        }
    }

    /// Nothing more comes: waits until all is written, seconds at most.
    pub fn finish(&mut self) {
        if let Sink::Queued(sink) = &mut self.sink {
            sink.finish();
        }
    }

    /// TSC when the program's first bytes had been written.
    pub fn first_tsc(&self) -> Option<u64> {
        self.first_tsc
    }

    /// Bytes that the guest wrote.
    pub fn len_bytes(&self) -> u64 {
        self.bytes
    }
}

fn first_line(bytes: &[u8]) -> String {
    let line = bytes
        .split(|&byte| byte == b'\n')
        .next()
        .unwrap_or_default();
    let line = line.get(..WORDS_MAX_BYTES).unwrap_or(line);
    let line = line.strip_prefix(b"unikiln: ").unwrap_or(line);
    String::from_utf8_lossy(line).into_owned()
}
