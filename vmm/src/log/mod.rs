//! The log: where a guest's output goes.
//!
//! A guest hands over bytes with a stream; they are written before the
//! hypercall returns, so that nothing is lost when the monitor is killed.
//! [`raw`] passes them through, [`cri`] writes Kubernetes log lines.

mod cri;
mod output;
mod raw;

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use unikiln_abi::log::{STREAM_LIBOS, STREAM_STDERR, STREAM_STDOUT};

use crate::memory::GuestSlice;
use cri::CriSink;
use output::Output;
use raw::RawSink;

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
}

/// An open log.
#[derive(Debug)]
pub struct Log {
    sink: Sink,
    first_tsc: Option<u64>,
    bytes: u64,
}

impl Log {
    /// Opens the target.
    pub fn open(format: LogFormat, target: LogTarget) -> Result<Self, LogError> {
        let (stdout, stderr) = Output::open(target)?;
        let sink = match format {
            LogFormat::Raw => Sink::Raw(RawSink::new(stdout, stderr)),
            LogFormat::Cri => Sink::Cri(CriSink::new(stdout)),
        };
        Ok(Self {
            sink,
            first_tsc: None,
            bytes: 0,
        })
    }

    /// Writes guest bytes, all of them.
    pub fn write_guest(&mut self, stream: Stream, bytes: &GuestSlice<'_>) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        let result = match &mut self.sink {
            Sink::Raw(sink) => sink.write_guest(stream, bytes),
            Sink::Cri(sink) => {
                let mut copy = vec![0; bytes.len()];
                bytes.copy_to(&mut copy);
                sink.write(SystemTime::now(), stream, &copy)
            }
        };
        if self.first_tsc.is_none() && stream != Stream::Libos {
            self.first_tsc = Some(crate::clock::read_tsc());
        }
        result
    }

    /// Writes text of the monitor's own.
    pub fn write_text(&mut self, text: &str) -> io::Result<()> {
        match &mut self.sink {
            Sink::Raw(sink) => sink.write(Stream::Libos, text.as_bytes()),
            Sink::Cri(sink) => sink.write(SystemTime::now(), Stream::Libos, text.as_bytes()),
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
