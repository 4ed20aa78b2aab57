//! The thread that serves the control socket. Nothing that a client does or leaves undone
//! holds up another: reads and writes never block, lines and connections are bounded.

use std::collections::VecDeque;
use std::fs::{self, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustix::event::{PollFd, PollFlags, poll};

use super::{LINE_MAX_BYTES, Reply, answer, short_address};
use crate::machine::Remote;

/// Most connections; the oldest goes where there is one more.
const CLIENTS_MAX: usize = 8;
const STACK_BYTES: usize = 128 << 10;

/// A control socket.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
}

#[derive(Debug)]
struct Client {
    stream: UnixStream,
    /// What came of a line that has not ended.
    line: Vec<u8>,
}

impl Server {
    /// Makes the socket, in place of one that is there already.
    ///
    /// # Errors
    /// What the system says.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let (_directory, address) = short_address(path)?;
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&address)?;
        fs::set_permissions(&address, Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener })
    }

    /// Serves it on a thread of its own, until the process ends.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(self, guest: Arc<OnceLock<Remote>>) -> io::Result<()> {
        let run = move || {
            crate::events::block_forwarded();
            self.serve(&guest);
        };
        std::thread::Builder::new()
            .name("control".into())
            .stack_size(STACK_BYTES)
            .spawn(run)
            .map(drop)
    }

    fn serve(&self, guest: &OnceLock<Remote>) {
        let mut clients = VecDeque::new();
        loop {
            let ready = match self.wait(&clients) {
                Ok(ready) => ready,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                // Without memory for it there is no serving.
                Err(_) => return,
            };
            let mut ready = ready.into_iter();
            let is_new = ready.next().unwrap_or_default();
            clients.retain_mut(|client: &mut Client| {
                !ready.next().unwrap_or_default() || client.serve(guest.get()).unwrap_or(false)
            });
            if is_new {
                self.accept(&mut clients);
            }
        }
    }

    /// Waits until something is to be done: for the listener, and for each client.
    fn wait(&self, clients: &VecDeque<Client>) -> io::Result<Vec<bool>> {
        let streams = clients
            .iter()
            .map(|client| PollFd::new(&client.stream, PollFlags::IN));
        let mut fds = vec![PollFd::new(&self.listener, PollFlags::IN)];
        fds.extend(streams);
        poll(&mut fds, None)?;
        Ok(fds.iter().map(|fd| !fd.revents().is_empty()).collect())
    }

    fn accept(&self, clients: &mut VecDeque<Client>) {
        let Ok((stream, _)) = self.listener.accept() else {
            return;
        };
        if stream.set_nonblocking(true).is_err() {
            return;
        }
        if clients.len() >= CLIENTS_MAX {
            clients.pop_front();
        }
        clients.push_back(Client {
            stream,
            line: Vec::new(),
        });
    }
}

impl Client {
    /// Takes what came and answers whole lines; false where the connection is over.
    fn serve(&mut self, guest: Option<&Remote>) -> io::Result<bool> {
        let mut bytes = [0; 4096];
        let count = match self.stream.read(&mut bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(true),
            other => other?,
        };
        if count == 0 {
            return Ok(false);
        }
        for piece in bytes
            .get(..count)
            .unwrap_or_default()
            .split_inclusive(|&byte| byte == b'\n')
        {
            self.line.extend_from_slice(piece);
            if self.line.ends_with(b"\n") {
                let reply = answer(&self.line, guest);
                self.line.clear();
                self.send(&reply)?;
            } else if self.line.len() > LINE_MAX_BYTES {
                self.send(&Reply::Refused("the line is too long".to_owned()))?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// An answer fits into the socket's buffer: whoever reads none is left.
    fn send(&mut self, reply: &Reply) -> io::Result<()> {
        let mut line = serde_json::to_vec(reply)?;
        line.push(b'\n');
        self.stream.write_all(&line)
    }
}
