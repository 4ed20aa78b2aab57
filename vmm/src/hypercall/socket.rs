//! `SOCKET_*` and `ROUTE_DUMP`: arguments of the calls of [`crate::net`].
//!
//! A buffer outside guest memory is a fault, as everywhere; all else that a guest
//! gets wrong is an errno of Linux's. Addresses and values of options are copied
//! before they are looked at; the bytes of a transfer are only ever the host's.

use std::io;
use std::mem::size_of;

use unikiln_abi::PAGE_BYTES;
use unikiln_abi::call::{
    ROUTE_DUMP, SOCKET_ACCEPT, SOCKET_ACCEPT_STREAMS, SOCKET_BIND, SOCKET_CLOSE, SOCKET_CONNECT,
    SOCKET_LISTEN, SOCKET_NAME, SOCKET_OPEN, SOCKET_OPTION_GET, SOCKET_OPTION_SET, SOCKET_QUEUED,
    SOCKET_RECEIVE, SOCKET_SEND, SOCKET_SEND_PIECES, SOCKET_SERVE, SOCKET_SHUTDOWN, SOCKET_STREAM,
    SOCKET_TABLE,
};
use unikiln_abi::socket::{
    ACCEPTED_MAX, ADDRESS_MAX_BYTES, Accepted, CONTROL_MAX_BYTES, OPTION_MAX_BYTES, PIECES_MAX,
    Piece, Received, Sending, SocketAddress, SocketTable, StreamRings, TRANSFER_MAX_BYTES,
};

use vm_memory::ByteValued;

use super::{CALL_NAMES, Host, lock, negated_errno};
use crate::fault::GuestFault;
use crate::memory::{GuestSlice, Plain};
use crate::net::{Note, errno};

/// `struct sockaddr_storage`: Linux takes addresses of up to this many bytes.
const SOCKADDR_MAX_BYTES: u64 = 128;

/// Serves a call of this family.
pub(super) fn handle(host: &Host, number: u32, args: [u64; 6]) -> Result<i64, GuestFault> {
    let [socket, a, b, c, d, _] = args;
    let net = &host.net;
    let of = Arguments {
        host,
        call: CALL_NAMES.get(number as usize).copied().unwrap_or("none"),
    };
    let result = match number {
        SOCKET_TABLE => of.table(socket)?,
        SOCKET_OPEN => net.open(socket, a, b),
        SOCKET_CLOSE => net.close(socket),
        SOCKET_BIND => match of.address(a, b)? {
            Ok(address) => host.said(net.bind(socket, &address)),
            Err(error) => Err(error),
        },
        SOCKET_LISTEN => host.said(net.listen(socket, a)),
        SOCKET_ACCEPT => {
            of.room::<SocketAddress>(a)?;
            of.answer(a, net.accept(socket))?
        }
        SOCKET_CONNECT => match of.address(a, b)? {
            Ok(address) => net.connect(socket, &address),
            Err(error) => Err(error),
        },
        SOCKET_SEND => {
            let bytes = of.transfer(a, b)?;
            net.send(socket, &[bytes], c, of.sending(d)?)
        }
        SOCKET_RECEIVE => of.receive(socket, a, b, c, d)?,
        SOCKET_SHUTDOWN => net.shutdown(socket, a),
        SOCKET_NAME => {
            of.room::<SocketAddress>(b)?;
            of.answer(b, net.name(socket, a).map(|name| (0, name)))?
        }
        SOCKET_OPTION_GET => {
            let target = host.buffer(of.call, c, d.min(OPTION_MAX_BYTES))?;
            net.option(socket, a, b, d).map(|(value, len)| {
                target.copy_from(value.get(..len).unwrap_or_default());
                len as i64
            })
        }
        SOCKET_OPTION_SET => of.set_option(socket, a, b, c, d)?,
        SOCKET_QUEUED => net.queued(socket, a),
        ROUTE_DUMP => of.route_dump(socket, a, b, c)?,
        SOCKET_STREAM => {
            of.pages::<StreamRings>(a)?;
            net.stream(socket, a)
        }
        SOCKET_SEND_PIECES => net.send(socket, &of.pieces(a, b)?, 0, None),
        SOCKET_SERVE => net.serve(),
        SOCKET_ACCEPT_STREAMS => of.accept_streams(socket, a, b)?,
        _ => return Err(GuestFault::UnknownCall { number }),
    };
    Ok(result.unwrap_or_else(|error| negated_errno(&error)))
}

impl Host {
    /// Passes a result on, and says in the log what belongs to it.
    fn said(&self, (result, note): (io::Result<i64>, Note)) -> io::Result<i64> {
        if let Some(line) = note {
            // Where the log fails there is nobody to tell.
            let _ = lock(&self.log).write_text(&line);
        }
        result
    }
}

/// How arguments are read.
struct Arguments<'a> {
    host: &'a Host,
    call: &'static str,
}

impl<'a> Arguments<'a> {
    fn table(&self, gpa: u64) -> Result<io::Result<i64>, GuestFault> {
        self.pages::<SocketTable>(gpa)?;
        Ok(self.host.said(self.host.net.start(gpa)))
    }

    /// Whether there is room for a structure that starts a page.
    fn pages<T>(&self, gpa: u64) -> Result<(), GuestFault> {
        self.room::<T>(gpa)?;
        if !gpa.is_multiple_of(PAGE_BYTES) {
            return Err(self.bad("address", gpa));
        }
        Ok(())
    }

    /// A copy of an address.
    fn address(&self, gpa: u64, len_bytes: u64) -> Result<io::Result<SocketAddress>, GuestFault> {
        if len_bytes > SOCKADDR_MAX_BYTES {
            return Ok(Err(errno(libc::EINVAL)));
        }
        let mut address = SocketAddress {
            len_bytes: (len_bytes as u32).min(ADDRESS_MAX_BYTES as u32),
            ..SocketAddress::default()
        };
        let source = self.host.buffer(self.call, gpa, address.len_bytes.into())?;
        source.copy_to(&mut address.bytes);
        Ok(Ok(address))
    }

    /// A copy of what goes with a send.
    fn sending(&self, gpa: u64) -> Result<Option<Sending>, GuestFault> {
        if gpa == 0 {
            return Ok(None);
        }
        self.room::<Sending>(gpa)?;
        Ok(self.host.memory.read_plain(gpa).ok())
    }

    fn transfer(&self, gpa: u64, len_bytes: u64) -> Result<GuestSlice<'a>, GuestFault> {
        if len_bytes > TRANSFER_MAX_BYTES {
            return Err(self.bad("length", len_bytes));
        }
        self.host.buffer(self.call, gpa, len_bytes)
    }

    /// The bytes of several pieces.
    fn pieces(&self, gpa: u64, count: u64) -> Result<Vec<GuestSlice<'a>>, GuestFault> {
        if count == 0 || count > PIECES_MAX as u64 {
            return Err(self.bad("count", count));
        }
        let mut left = TRANSFER_MAX_BYTES;
        let places = (gpa..).step_by(size_of::<Piece>()).take(count as usize);
        let slices = places.map(|at| {
            self.room::<Piece>(at)?;
            let piece: Piece = self.host.memory.read_plain(at).unwrap_or_default();
            let rest = left.checked_sub(piece.len_bytes);
            left = rest.ok_or_else(|| self.bad("length", piece.len_bytes))?;
            self.transfer(piece.gpa, piece.len_bytes)
        });
        slices.collect()
    }

    /// Whether there is room for a structure.
    fn room<T>(&self, gpa: u64) -> Result<(), GuestFault> {
        let bytes = size_of::<T>() as u64;
        self.host.buffer(self.call, gpa, bytes).map(drop)
    }

    /// Writes the structure that belongs to an answer.
    fn answer<T: Copy>(
        &self,
        gpa: u64,
        answer: io::Result<(i64, T)>,
    ) -> Result<io::Result<i64>, GuestFault>
    where
        Plain<T>: ByteValued,
    {
        let (status, value) = match answer {
            Ok(answer) => answer,
            Err(error) => return Ok(Err(error)),
        };
        match self.host.memory.write_plain(gpa, value) {
            Ok(()) => Ok(Ok(status)),
            Err(_) => Err(self.bad("address", gpa)),
        }
    }

    fn accept_streams(
        &self,
        socket: u64,
        gpa: u64,
        count: u64,
    ) -> Result<io::Result<i64>, GuestFault> {
        if count == 0 || count > ACCEPTED_MAX as u64 {
            return Err(self.bad("count", count));
        }
        let mut accepted = [Accepted::default(); ACCEPTED_MAX];
        let room = accepted.get_mut(..count as usize).unwrap_or_default();
        let places = (gpa..).step_by(size_of::<Accepted>());
        for (place, at) in room.iter_mut().zip(places.clone()) {
            self.room::<Accepted>(at)?;
            let given: Accepted = self.host.memory.read_plain(at).unwrap_or_default();
            if given.rings != 0 {
                self.pages::<StreamRings>(given.rings)?;
            }
            place.rings = given.rings;
        }
        let taken = match self.host.net.accept_streams(socket, room) {
            Ok(taken) => taken,
            Err(error) => return Ok(Err(error)),
        };
        for (place, at) in room.iter().zip(places).take(taken as usize) {
            let written = self.host.memory.write_plain(at, *place);
            written.map_err(|_| self.bad("address", at))?;
        }
        Ok(Ok(taken))
    }

    fn receive(
        &self,
        socket: u64,
        gpa: u64,
        len_bytes: u64,
        flags: u64,
        beside_gpa: u64,
    ) -> Result<io::Result<i64>, GuestFault> {
        let bytes = self.transfer(gpa, len_bytes)?;
        if beside_gpa == 0 {
            return Ok(self.host.net.receive(socket, &bytes, flags, None));
        }
        self.room::<Received>(beside_gpa)?;
        let mut beside = Received {
            from: SocketAddress::default(),
            flags: 0,
            control_bytes: 0,
            control: [0; CONTROL_MAX_BYTES],
        };
        let net = &self.host.net;
        let result = net.receive(socket, &bytes, flags, Some(&mut beside));
        self.answer(beside_gpa, result.map(|count| (count, beside)))
    }

    fn set_option(
        &self,
        socket: u64,
        level: u64,
        name: u64,
        gpa: u64,
        len_bytes: u64,
    ) -> Result<io::Result<i64>, GuestFault> {
        if len_bytes > OPTION_MAX_BYTES {
            return Ok(Err(errno(libc::EINVAL)));
        }
        let mut value = [0; OPTION_MAX_BYTES as usize];
        let source = self.host.buffer(self.call, gpa, len_bytes)?;
        source.copy_to(&mut value);
        let value = value.get(..len_bytes as usize).unwrap_or_default();
        Ok(self.host.net.set_option(socket, level, name, value))
    }

    fn route_dump(
        &self,
        what: u64,
        family: u64,
        gpa: u64,
        len_bytes: u64,
    ) -> Result<io::Result<i64>, GuestFault> {
        let target = self.transfer(gpa, len_bytes)?;
        Ok(self.host.net.route_dump(what, family).and_then(|messages| {
            if messages.len() > target.len() {
                return Err(errno(libc::ENOBUFS));
            }
            target.copy_from(&messages);
            Ok(messages.len() as i64)
        }))
    }

    fn bad(&self, name: &'static str, value: u64) -> GuestFault {
        GuestFault::BadArgument {
            call: self.call,
            name,
            value,
        }
    }
}
