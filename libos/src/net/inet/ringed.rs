//! Connections with rings: which have them, when the monitor is to look at them, and
//! what is different for their sockets.
//!
//! Sockets that want something beside the bytes go without rings: see `options`.

use core::sync::atomic::Ordering::SeqCst;

use linux_raw_sys::general::{EPOLLIN, EPOLLOUT, EPOLLRDNORM, EPOLLWRNORM};
use unikiln_abi::socket::{QUEUED_RECEIVE, QUEUED_SEND};

use super::ring::{BROKEN, End, Rings};
use super::{HostSocket, changes};
use crate::errno::SysResult;
use crate::hypercall::rings::give;
use crate::hypercall::socket as host;
use crate::net::Kind;

impl HostSocket {
    /// Its rings, where it has them.
    pub(super) fn rings(&self) -> Option<&Rings> {
        self.rings.get()
    }

    /// The rings, if bytes may go out through them.
    pub(super) fn outgoing_rings(&self) -> Option<&Rings> {
        let rings = self.rings()?;
        (rings.is_usable(self.word()) && !self.shut_send.load(SeqCst)).then_some(rings)
    }

    /// Gives a new connection rings, once. Without memory it goes without.
    pub(super) fn attach_rings(&self) {
        let is_plain = !self.without_rings.load(SeqCst) && self.options.low_water() == 1;
        if self.kind != Kind::Stream || !is_plain || self.asked_rings.swap(true, SeqCst) {
            return;
        }
        if let Ok(parts) = give(self.handle) {
            self.rings.call_once(|| Rings::new(parts));
            // Who waits was told nothing of what is in them.
            self.changed();
        }
    }

    /// Leaves closing to the monitor, where it looks soon: false where it has to be called.
    pub(super) fn close_later(&self) -> bool {
        let lingers = self.options.linger_seconds().is_some();
        let Some(rings) = self
            .rings()
            .filter(|_| !lingers && changes::is_served_soon())
        else {
            return false;
        };
        let is_left = rings.close_later();
        if is_left {
            self.notice_sending();
        }
        is_left
    }

    /// Gives rings to a connection that came about meanwhile.
    pub(super) fn attach_when_connected(&self) {
        let is_new = self.was_connected.load(SeqCst) && !self.asked_rings.load(SeqCst);
        if is_new && self.word() & (EPOLLOUT | BROKEN) == EPOLLOUT {
            self.attach_rings();
        }
    }

    /// The connection ended by connecting to nothing: what was received is lost.
    pub(super) fn leave_rings(&self) {
        if let Some(rings) = self.rings() {
            rings.leave();
        }
    }

    /// Has the monitor look at the send ring: now, where nobody would look soon.
    pub(super) fn notice_sending(&self) {
        changes::mark_pending(self.handle);
        changes::serve_if_asleep();
    }

    /// Has the send ring emptied as far as possible before something else is done.
    pub(super) fn settle(&self) {
        if self.rings().is_some_and(|rings| rings.sending_bytes() > 0) {
            changes::mark_pending(self.handle);
            changes::serve();
        }
    }

    /// Whether nothing waits to be sent before a send past the ring.
    pub(super) fn has_empty_ring(&self) -> bool {
        self.rings().is_none_or(|rings| rings.sending_bytes() == 0)
    }

    /// Whether bytes that the host gave already were not received.
    pub(super) fn has_unread(&self) -> bool {
        self.held_bytes() > 0 || self.rings().is_some_and(|rings| rings.received_bytes() > 0)
    }

    /// Whether the host has bytes that were not put into the ring.
    pub(super) fn host_has_more(&self) -> bool {
        let is_open = self.rings().is_some_and(|rings| rings.end() == End::Open);
        is_open && self.word() & EPOLLIN != 0
    }

    /// What is ready of `word` and the rings.
    pub(super) fn ready_with(&self, word: u32) -> u32 {
        match self.rings() {
            None if self.accepted.is_any() => word | EPOLLIN | EPOLLRDNORM,
            Some(rings) if self.shut_send.load(SeqCst) => {
                // A send fails at once, whatever the ring has.
                rings.ready(word, self.options.low_water()) | EPOLLOUT | EPOLLWRNORM
            }
            Some(rings) => rings.ready(word, self.options.low_water()),
            None => word,
        }
    }

    /// Bytes that a receive would find.
    pub(super) fn receivable_bytes(&self) -> SysResult {
        // In the order of their way, so that none is missed.
        let queued = host::queued(self.handle, QUEUED_RECEIVE)?;
        Ok(queued + self.rings().map_or(0, Rings::received_bytes) + self.held_bytes())
    }

    /// Bytes that the other end did not acknowledge.
    pub(super) fn unsent_bytes(&self) -> SysResult {
        let waiting = self.rings().map_or(0, Rings::sending_bytes);
        Ok(waiting + host::queued(self.handle, QUEUED_SEND)?)
    }
}
