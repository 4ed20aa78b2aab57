//! Questions to the monitor: messages out, replies in.
//!
//! Buffers are lent from a pool and owned meanwhile, so that no lock is held while
//! the monitor works or while program memory is touched.

use alloc::vec::Vec;

use spin::Mutex;
use unikiln_abi::volume::{Fields, IN_HEADER_BYTES, InHeader, NODE_ROOT, OUT_HEADER_BYTES, opcode};

use super::Volume;
use crate::errno::Errno;
use crate::fs::Caller;
use crate::hypercall;

/// Room for messages, and as much for replies.
const MESSAGES_BYTES: usize = 12 << 10;
/// Data buffers: a small one for what most calls move, a large one.
const SMALL_BYTES: usize = 64 << 10;
const LARGE_BYTES: usize = 1 << 20;
/// Buffers of one kind that are kept.
const KEPT: usize = 4;
/// What is left to tell before it is told without a question.
const PENDING_MAX: usize = 64;

static MESSAGES: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
static SMALL: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
static LARGE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// A buffer that is lent; it goes back when dropped.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    pool: &'static Mutex<Vec<Vec<u8>>>,
}

impl Buffer {
    fn take(pool: &'static Mutex<Vec<Vec<u8>>>, len: usize) -> Result<Buffer, Errno> {
        let kept = pool.lock().pop();
        let bytes = match kept {
            Some(bytes) => bytes,
            None => {
                let mut bytes = Vec::new();
                bytes.try_reserve_exact(len).map_err(|_| Errno::ENOMEM)?;
                bytes.resize(len, 0);
                bytes
            }
        };
        Ok(Buffer { bytes, pool })
    }

    /// A buffer for data, of `wanted` bytes if there is memory for it.
    pub(super) fn for_data(wanted: usize) -> Result<Buffer, Errno> {
        if wanted > SMALL_BYTES
            && let Ok(buffer) = Buffer::take(&LARGE, LARGE_BYTES)
        {
            return Ok(buffer);
        }
        Buffer::take(&SMALL, SMALL_BYTES)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Its guest-physical address.
    pub(super) fn gpa(&self) -> u64 {
        hypercall::gpa_of(&self.bytes)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = core::mem::take(&mut self.bytes);
        let mut pool = self.pool.lock();
        if pool.len() < KEPT {
            pool.push(bytes);
        }
    }
}

/// What the monitor is told with the next question.
#[derive(Default)]
pub(super) struct Pending {
    /// Nodes, and by how much they are used less.
    forgotten: Vec<(u64, u64)>,
    /// Handles.
    released: Vec<u64>,
}

impl Pending {
    fn len(&self) -> usize {
        self.forgotten.len() + self.released.len()
    }
}

/// Puts a message behind those in `out`.
fn put(out: &mut [u8], at: &mut usize, header: InHeader, parts: &[&[u8]]) -> Result<(), Errno> {
    let body: usize = parts.iter().map(|part| part.len()).sum();
    let len = IN_HEADER_BYTES + body;
    let end = (*at + len).next_multiple_of(8);
    let place = out.get_mut(*at..end).ok_or(Errno::ENAMETOOLONG)?;
    let header = InHeader {
        len: len as u32,
        ..header
    };
    let mut rest = place;
    for part in [&header.to_bytes()[..]].iter().chain(parts) {
        let (here, after) = rest.split_at_mut_checked(part.len()).ok_or(Errno::EIO)?;
        here.copy_from_slice(part);
        rest = after;
    }
    rest.fill(0);
    *at = end;
    Ok(())
}

/// One question: what it is about, and its fields.
pub(super) struct Question<'a> {
    pub(super) opcode: u32,
    pub(super) node: u64,
    pub(super) parts: &'a [&'a [u8]],
}

impl Volume {
    /// Asks one question: what `parse` makes of the reply's body.
    pub(super) fn ask<T>(
        &self,
        question: &Question<'_>,
        data_gpa: u64,
        parse: impl FnOnce(&mut Fields<'_>) -> Option<T>,
    ) -> Result<T, Errno> {
        let mut parse = Some(parse);
        self.ask_all(core::slice::from_ref(question), data_gpa, |_, reply| {
            let parse = parse.take().ok_or(Errno::EIO)?;
            parse(&mut reply?).ok_or(Errno::EIO).map(Some)
        })
    }

    /// Asks several questions at once. `take` gets each reply's number and body; the
    /// last thing that it gives is the answer.
    pub(super) fn ask_all<T>(
        &self,
        questions: &[Question<'_>],
        data_gpa: u64,
        mut take: impl FnMut(usize, Result<Fields<'_>, Errno>) -> Result<Option<T>, Errno>,
    ) -> Result<T, Errno> {
        let (uid, gid) = owner_of_new_files();
        let mut messages = Buffer::take(&MESSAGES, 2 * MESSAGES_BYTES)?;
        let (out, replies) = messages
            .bytes_mut()
            .split_at_mut_checked(MESSAGES_BYTES)
            .ok_or(Errno::EIO)?;
        let mut at = 0;
        self.put_pending(out, &mut at)?;
        for question in questions {
            let header = InHeader {
                opcode: question.opcode,
                node: question.node,
                uid,
                gid,
                ..InHeader::default()
            };
            put(out, &mut at, header, question.parts)?;
        }
        let request = out.get(..at).ok_or(Errno::EIO)?;
        let got = hypercall::volume_call(self.index, request, replies, data_gpa)?;
        let mut fields = Fields(replies.get(..got).ok_or(Errno::EIO)?);
        let mut answer = Err(Errno::EIO);
        // One that follows an error has none.
        for number in 0..questions.len() {
            let Some(len) = fields.u32() else {
                break;
            };
            let error = fields.u32().ok_or(Errno::EIO)? as i32;
            fields.u64().ok_or(Errno::EIO)?;
            let body = (len as usize)
                .checked_sub(OUT_HEADER_BYTES)
                .ok_or(Errno::EIO)?;
            let padded = (len as usize).next_multiple_of(8) - OUT_HEADER_BYTES;
            let body = fields.bytes(padded).and_then(|it| it.get(..body));
            let body = Fields(body.ok_or(Errno::EIO)?);
            let reply = match error {
                0 => Ok(body),
                error => Err(Errno::from_status(i64::from(error))),
            };
            match take(number, reply) {
                Ok(Some(value)) => answer = Ok(value),
                Ok(None) => {}
                Err(errno) => answer = Err(errno),
            }
        }
        answer
    }

    /// A question whose answer is that it was done.
    pub(super) fn tell(&self, opcode: u32, node: u64, parts: &[&[u8]]) -> Result<(), Errno> {
        let question = Question {
            opcode,
            node,
            parts,
        };
        self.ask(&question, 0, |_| Some(()))
    }

    fn put_pending(&self, out: &mut [u8], at: &mut usize) -> Result<(), Errno> {
        let mut pending = self.pending.lock();
        let about = |opcode| InHeader {
            opcode,
            node: NODE_ROOT,
            ..InHeader::default()
        };
        // The others go with the next question.
        for handle in pending.take_released() {
            put(
                out,
                at,
                about(opcode::RELEASE),
                &[&handle.to_le_bytes(), &[0; 16]],
            )?;
        }
        let forgotten = pending.take_forgotten();
        if !forgotten.is_empty() {
            let mut body = Vec::with_capacity(8 + forgotten.len() * 16);
            body.extend_from_slice(&(forgotten.len() as u32).to_le_bytes());
            body.extend_from_slice(&[0; 4]);
            for (node, uses) in forgotten {
                body.extend_from_slice(&node.to_le_bytes());
                body.extend_from_slice(&uses.to_le_bytes());
            }
            put(out, at, about(opcode::BATCH_FORGET), &[&body])?;
        }
        Ok(())
    }

    /// A node is used `uses` times less.
    pub(super) fn forget(&self, node: u64, uses: u64) {
        let full = {
            let mut pending = self.pending.lock();
            pending.forgotten.push((node, uses));
            pending.len() >= PENDING_MAX
        };
        if full {
            self.flush();
        }
    }

    /// A handle is used no more; `now` where somebody on the host may wait for it.
    pub(super) fn release(&self, handle: u64, now: bool) {
        let full = {
            let mut pending = self.pending.lock();
            pending.released.push(handle);
            pending.len() >= PENDING_MAX
        };
        if full || now {
            self.flush();
        }
    }

    /// Tells the monitor what is left to tell.
    pub(super) fn flush(&self) {
        while self.pending.lock().len() > 0 {
            let sent = Buffer::take(&MESSAGES, 2 * MESSAGES_BYTES).and_then(|mut messages| {
                let (out, replies) = messages
                    .bytes_mut()
                    .split_at_mut_checked(MESSAGES_BYTES)
                    .ok_or(Errno::EIO)?;
                let mut at = 0;
                self.put_pending(out, &mut at)?;
                let request = out.get(..at).ok_or(Errno::EIO)?;
                hypercall::volume_call(self.index, request, replies, 0)
            });
            if sent.is_err() {
                // No memory for messages: they wait.
                return;
            }
        }
    }

    /// Writes the volume's file system to the disk.
    pub(super) fn sync(&self) -> Result<(), Errno> {
        self.tell(opcode::SYNCFS, NODE_ROOT, &[&[0; 8]])
    }
}

impl Pending {
    fn take_released(&mut self) -> Vec<u64> {
        let from = self.released.len().saturating_sub(PENDING_MAX);
        self.released.split_off(from)
    }

    fn take_forgotten(&mut self) -> Vec<(u64, u64)> {
        let from = self.forgotten.len().saturating_sub(PENDING_MAX);
        self.forgotten.split_off(from)
    }
}

/// Whose a file is that is made now.
fn owner_of_new_files() -> (u32, u32) {
    let caller = Caller::current();
    (caller.uid, caller.gid)
}
