//! A blocking client of a D-Bus socket: handshake, calls, and the end of systemd's jobs.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::wire::{self, Call, FIXED_BYTES, Message, Reader, Writer};

/// The bus itself.
const BUS: Call<'_> = Call {
    destination: "org.freedesktop.DBus",
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
    member: "Hello",
    signature: "",
};

const JOB_REMOVED: &str = "type='signal',sender='org.freedesktop.systemd1',\
     interface='org.freedesktop.systemd1.Manager',member='JobRemoved'";

/// The longest line of the handshake.
const LINE_MAX_BYTES: usize = 1024;

/// Why the other end could not be asked, or what it said.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// There is no bus.
    #[error("connect to {}; is systemd running on this machine?", socket.display())]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The connection broke.
    #[error("the connection to the bus broke")]
    Broken(#[source] io::Error),
    /// Nothing came in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The handshake was refused.
    #[error("the bus refuses this user: {0}")]
    Refused(String),
    /// What came is no message.
    #[error("a malformed message: {0}")]
    Malformed(&'static str),
    /// The call failed.
    #[error("{name}: {message}")]
    Remote {
        /// As `org.freedesktop.systemd1.NoSuchUnit`.
        name: String,
        /// For people.
        message: String,
    },
    /// A job ended otherwise than done.
    #[error("its job ended with {result:?}; `systemctl status` of the unit may say why")]
    Job {
        /// `failed`, `timeout`, `canceled`, `dependency`, `skipped`.
        result: String,
    },
}

impl BusError {
    /// Whether the call failed by this error of systemd's.
    pub fn is_remote(&self, error: &str) -> bool {
        matches!(self, Self::Remote { name, .. } if name.rsplit('.').next() == Some(error))
    }
}

/// An open connection, for a few calls within one time limit.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    timeout: Duration,
    deadline: Instant,
    serial: u32,
    signals: VecDeque<Message>,
}

impl Connection {
    /// Connects and says hello.
    pub fn open(socket: &Path, timeout: Duration) -> Result<Self, BusError> {
        let stream = UnixStream::connect(socket).map_err(|source| BusError::Connect {
            socket: socket.to_owned(),
            source,
        })?;
        let mut connection = Self {
            stream,
            timeout,
            deadline: Instant::now() + timeout,
            serial: 0,
            signals: VecDeque::new(),
        };
        connection.authenticate()?;
        connection.call(&BUS, Writer::default())?;
        Ok(connection)
    }

    /// Asks for the ends of jobs, which [`Connection::job_end`] waits for.
    pub fn watch_jobs(&mut self) -> Result<(), BusError> {
        let call = Call {
            member: "AddMatch",
            signature: "s",
            ..BUS
        };
        let mut body = Writer::default();
        body.text(JOB_REMOVED);
        self.call(&call, body).map(|_| ())
    }

    /// Calls a method and waits for its answer.
    pub fn call(&mut self, call: &Call<'_>, body: Writer) -> Result<Message, BusError> {
        self.serial += 1;
        let serial = self.serial;
        self.write(&call.message(serial, &body.into_bytes()))?;
        loop {
            let message = self.read_message()?;
            match message.kind {
                wire::REPLY if message.reply_serial == Some(serial) => return Ok(message),
                wire::ERROR if message.reply_serial == Some(serial) => {
                    let text = match message.signature.starts_with('s') {
                        true => Reader::new(&message.body).text()?.to_owned(),
                        false => String::new(),
                    };
                    return Err(BusError::Remote {
                        name: message.error,
                        message: text,
                    });
                }
                wire::SIGNAL => self.signals.push_back(message),
                _ => {}
            }
        }
    }

    /// Waits for the end of a job.
    pub fn job_end(&mut self, job: &str) -> Result<(), BusError> {
        loop {
            let message = match self.signals.pop_front() {
                Some(message) => message,
                None => self.read_message()?,
            };
            let is_end = message.kind == wire::SIGNAL
                && message.member == "JobRemoved"
                && message.signature == "uoss";
            if !is_end {
                continue;
            }
            let mut body = Reader::new(&message.body);
            body.u32()?;
            if body.text()? != job {
                continue;
            }
            body.text()?;
            return match body.text()? {
                "done" => Ok(()),
                result => Err(BusError::Job {
                    result: result.to_owned(),
                }),
            };
        }
    }

    /// EXTERNAL: the kernel tells the bus who we are; the name is checked against it.
    fn authenticate(&mut self) -> Result<(), BusError> {
        let uid = rustix::process::geteuid().as_raw().to_string();
        let hex: String = uid.bytes().map(|byte| format!("{byte:02x}")).collect();
        self.write(format!("\0AUTH EXTERNAL {hex}\r\n").as_bytes())?;
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            if line.len() == LINE_MAX_BYTES {
                return Err(BusError::Malformed("a line of the handshake has no end"));
            }
            let mut byte = [0];
            self.read(&mut byte)?;
            line.extend(byte);
        }
        let line = String::from_utf8_lossy(&line);
        if !line.starts_with("OK ") {
            return Err(BusError::Refused(line.trim_end().to_owned()));
        }
        self.write(b"BEGIN\r\n")
    }

    fn read_message(&mut self) -> Result<Message, BusError> {
        let mut fixed = [0; FIXED_BYTES];
        self.read(&mut fixed)?;
        let (fields_bytes, body_bytes) = wire::rest_bytes(&fixed)?;
        let mut fields = vec![0; fields_bytes];
        self.read(&mut fields)?;
        let mut body = vec![0; body_bytes];
        self.read(&mut body)?;
        Message::parse(&fixed, &fields, body)
    }

    fn read(&mut self, mut bytes: &mut [u8]) -> Result<(), BusError> {
        while !bytes.is_empty() {
            let left = self.left()?;
            let set = self.stream.set_read_timeout(Some(left));
            match set.and_then(|()| self.stream.read(bytes)) {
                Ok(0) => return Err(BusError::Broken(io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => bytes = &mut bytes[count..],
                Err(error) => self.check(error)?,
            }
        }
        Ok(())
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<(), BusError> {
        while !bytes.is_empty() {
            let left = self.left()?;
            let set = self.stream.set_write_timeout(Some(left));
            match set.and_then(|()| self.stream.write(bytes)) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) => self.check(error)?,
            }
        }
        Ok(())
    }

    fn left(&self) -> Result<Duration, BusError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match left.is_zero() {
            true => Err(BusError::Timeout(self.timeout)),
            false => Ok(left),
        }
    }

    /// Nothing for an error after which the deadline decides.
    fn check(&self, error: io::Error) -> Result<(), BusError> {
        match error.kind() {
            io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                Ok(())
            }
            _ => Err(BusError::Broken(error)),
        }
    }
}
