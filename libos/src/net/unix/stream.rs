//! Bytes over a connection: SOCK_STREAM.
//!
//! Every write puts messages into the other end's queue; a read takes from as
//! many as it has room for, but never glues what must stay apart: files end a
//! read, and so do credentials of another sender where the receiver asks for them.

use alloc::sync::Arc;
use alloc::vec;

use linux_raw_sys::general::SIGPIPE;
use linux_raw_sys::net::{MSG_NOSIGNAL, MSG_OOB, MSG_PEEK, MSG_WAITALL};
use spin::Mutex;

use super::endpoint::{Endpoint, Phase, READABLE};
use super::queue::{Charge, Message};
use crate::errno::{Errno, SysResult};
use crate::net::control::{Control, Credentials};
use crate::net::garbage;
use crate::net::in_flight::InFlight;
use crate::net::message::{Incoming, Outgoing};
use crate::sched;
use crate::signal;

/// Most bytes of one message of a stream.
const CHUNK_BYTES: usize = 32 << 10;

/// Whether the messages of `sender` to `receiver` say who sent them.
pub(super) fn tells_sender(sender: &Endpoint, receiver: &Endpoint) -> bool {
    sender.options.passes_credentials() || receiver.options.passes_credentials()
}

/// What goes along with a message.
pub(super) struct Along {
    pub(super) credentials: Option<Credentials>,
    pub(super) files: Option<InFlight>,
}

impl Along {
    /// From control messages; puts the files in flight.
    pub(super) fn read(control: &[u8]) -> Result<Along, Errno> {
        let control = Control::parse(control)?;
        let files = match control.files {
            files if files.is_empty() => None,
            files => Some(InFlight::new(files)?),
        };
        Ok(Along {
            credentials: control.credentials,
            files,
        })
    }
}

/// Sends into a stream.
pub(super) fn send(own: &Arc<Endpoint>, out: &mut Outgoing<'_>) -> SysResult {
    if out.flags & MSG_OOB != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    let mut along = Along::read(&out.control)?;
    let peer = {
        let state = own.state.lock();
        match (&out.address, &state.peer) {
            (Some(_), _) if state.phase == Phase::Connected => return Err(Errno::EISCONN),
            (Some(_), _) => return Err(Errno::EOPNOTSUPP),
            (None, None) => return Err(Errno::ENOTCONN),
            (None, Some(_)) if state.shut.send => None,
            (None, Some(peer)) => Some(peer.clone()),
        }
    };
    let mut sent = 0;
    let outcome = match peer {
        None => Err((Errno::EPIPE, true)),
        Some(peer) => send_to(own, &peer, out, &mut along, &mut sent),
    };
    match outcome {
        Ok(()) => Ok(sent),
        Err(_) if sent > 0 => Ok(sent),
        Err((errno, signals)) => {
            if signals && out.flags & MSG_NOSIGNAL == 0 {
                signal::raise_current(SIGPIPE);
            }
            Err(errno)
        }
    }
}

/// Sends all of it; an error says whether SIGPIPE comes with it.
fn send_to(
    own: &Arc<Endpoint>,
    peer: &Arc<Endpoint>,
    out: &mut Outgoing<'_>,
    along: &mut Along,
    sent: &mut usize,
) -> Result<(), (Errno, bool)> {
    while out.data.remaining() > 0 {
        // A writer that was waiting when the connection ended gets no signal, as in Linux.
        let plain = |errno| (errno, false);
        let room = out.patience.wait(&own.writable, || own.may_send());
        room.and_then(|room| room).map_err(plain)?;
        let most = (own.options.send_buffer() / 2).min(CHUNK_BYTES);
        let len = out.data.remaining().min(most);
        let mut data = vec![0; len];
        out.data.take(&mut data).map_err(plain)?;
        let credentials = along
            .credentials
            .or_else(|| tells_sender(own, peer).then(Credentials::of_sender));
        let message = Message {
            data,
            credentials,
            files: Mutex::new(along.files.take()),
            charge: Charge::new(own, len),
        };
        if !push(peer, message) {
            return Err((Errno::EPIPE, true));
        }
        *sent += len;
        peer.notify(READABLE);
    }
    Ok(())
}

/// Puts a message into the queue unless nobody will receive it.
fn push(peer: &Endpoint, message: Message) -> bool {
    let mut state = peer.state.lock();
    if state.released || state.shut.receive {
        // The lock goes before the message: dropping it may take that lock again.
        drop(state);
        return false;
    }
    peer.push(&mut state, message);
    true
}

/// The right to take from the queue of a stream: a message is copied to the
/// program with no lock held, and nobody else may take what follows it meanwhile.
struct Turn<'a>(&'a Endpoint);

impl Turn<'_> {
    fn wait(end: &Endpoint) -> Result<Turn<'_>, Errno> {
        sched::wait(&end.turns, None, || {
            let mut state = end.state.lock();
            let free = !state.reading;
            state.reading = true;
            free.then_some(())
        })?;
        Ok(Turn(end))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.state.lock().reading = false;
        self.0.turns.wake_all();
    }
}

/// How far one receive is.
struct Progress {
    copied: usize,
    /// Bytes that it waits for.
    target: usize,
    /// Messages that a peek has seen.
    peeked: usize,
    /// Whose bytes they are, once the receiver cares.
    sender: Option<Credentials>,
    named: bool,
}

/// How a look into the queue ended.
enum Looked {
    Done,
    /// More has to come first.
    Empty,
    Failed(Errno),
}

/// Receives from a stream.
pub(super) fn receive(own: &Endpoint, incoming: &mut Incoming<'_>) -> SysResult {
    if own.state.lock().phase != Phase::Connected {
        return Err(Errno::EINVAL);
    }
    if incoming.asks(MSG_OOB) {
        return Err(Errno::EOPNOTSUPP);
    }
    let len = incoming.data.remaining();
    let least = if incoming.asks(MSG_WAITALL) {
        len
    } else {
        len.min(own.options.low_water())
    };
    let mut progress = Progress {
        copied: 0,
        target: least.max(1),
        peeked: 0,
        sender: None,
        named: false,
    };
    let failure = loop {
        let looked = match Turn::wait(own) {
            Ok(_turn) => look(own, incoming, &mut progress),
            Err(errno) => break Some(errno),
        };
        match looked {
            Looked::Done => break None,
            Looked::Failed(errno) => break Some(errno),
            Looked::Empty => {}
        }
        let more = incoming.patience.wait(&own.readable, || {
            let state = own.state.lock();
            let ended = state.error.is_some() || state.shut.receive;
            (ended || !state.queue.is_empty()).then_some(())
        });
        if let Err(errno) = more {
            break Some(errno);
        }
    };
    match failure {
        Some(errno) if progress.copied == 0 => Err(errno),
        _ => Ok(progress.copied),
    }
}

/// Takes what is in the queue, as far as there is room and it belongs together.
fn look(own: &Endpoint, incoming: &mut Incoming<'_>, progress: &mut Progress) -> Looked {
    let peeks = incoming.asks(MSG_PEEK);
    loop {
        let (message, taken) = {
            let mut state = own.state.lock();
            match state.queue.get(progress.peeked) {
                Some(queued) => (queued.message.clone(), queued.taken),
                None if progress.peeked > 0 || progress.copied >= progress.target => {
                    return Looked::Done;
                }
                None => {
                    return match state.error.take() {
                        Some(errno) => Looked::Failed(errno),
                        None if state.shut.receive => Looked::Done,
                        None => Looked::Empty,
                    };
                }
            }
        };
        let sender = message.credentials.unwrap_or(Credentials::NOBODY);
        if progress.sender.is_some_and(|other| other != sender) {
            return Looked::Done;
        }
        if own.options.passes_credentials() {
            progress.sender = Some(sender);
            incoming.credentials = Some(sender);
        }
        if !progress.named {
            incoming.address = message.charge.sender.sender_address();
            progress.named = true;
        }
        let rest = message.data.get(taken..).unwrap_or_default();
        let len = rest.len().min(incoming.data.remaining());
        let whole = len == rest.len();
        if let Err(errno) = incoming.data.put(rest.get(..len).unwrap_or_default()) {
            return Looked::Failed(errno);
        }
        progress.copied += len;
        let with_files = if peeks {
            progress.peeked += 1;
            peek_files(&message, incoming)
        } else {
            let with_files = take_files(&message, incoming);
            finish(own, taken + len, whole);
            with_files
        };
        if with_files || !whole || incoming.data.remaining() == 0 {
            return Looked::Done;
        }
    }
}

/// Notes that `taken` bytes of the first message are gone, or all of it.
fn finish(own: &Endpoint, taken: usize, whole: bool) {
    let gone = {
        let mut state = own.state.lock();
        if whole {
            state.queue.pop_front()
        } else {
            if let Some(first) = state.queue.front_mut() {
                first.taken = taken;
            }
            None
        }
    };
    drop(gone);
}

/// Takes the files of a message; whether there were any.
pub(super) fn take_files(message: &Message, incoming: &mut Incoming<'_>) -> bool {
    let files = message.files.lock().take();
    match files {
        Some(files) => {
            incoming.files = files.land();
            true
        }
        None => false,
    }
}

/// Shares the files of a message; whether there were any.
pub(super) fn peek_files(message: &Message, incoming: &mut Incoming<'_>) -> bool {
    let _sharing = garbage::share();
    match &*message.files.lock() {
        Some(files) => {
            incoming.files = files.files().to_vec();
            true
        }
        None => false,
    }
}
