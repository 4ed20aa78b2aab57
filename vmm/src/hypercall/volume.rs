//! `VOLUME_CALL [volume, request gpa, request len, reply gpa, reply room, data gpa]`,
//! `VOLUME_WATCH [volume, node, mask]`, `VOLUME_EVENTS [gpa, len]`: files of the host.

use std::sync::atomic::{AtomicU32, Ordering};

use unikiln_abi::shared::SharedPage;
use unikiln_abi::volume::{DATA_MAX_BYTES, MESSAGES_MAX_BYTES};
use vm_memory::VolatileMemory;

use super::Host;
use crate::fault::GuestFault;
use crate::memory::GuestSlice;
use crate::volume::Server;

const CALL: &str = "volume_call";

fn server<'a>(host: &'a Host, call: &'static str, volume: u64) -> Result<&'a Server, GuestFault> {
    host.volumes.server(volume).ok_or(GuestFault::BadArgument {
        call,
        name: "volume",
        value: volume,
    })
}

fn bounded(call: &'static str, name: &'static str, value: u64) -> Result<u64, GuestFault> {
    if value > MESSAGES_MAX_BYTES {
        return Err(GuestFault::BadArgument { call, name, value });
    }
    Ok(value)
}

pub(super) fn handle_call(host: &Host, args: [u64; 6]) -> Result<i64, GuestFault> {
    let [volume, request, request_bytes, reply, room, data] = args;
    let server = server(host, CALL, volume)?;
    let request_bytes = bounded(CALL, "request length", request_bytes)?;
    let room = bounded(CALL, "reply room", room)?;
    let source = host.buffer(CALL, request, request_bytes)?;
    let target = host.buffer(CALL, reply, room)?;
    let mut messages = vec![0; request_bytes as usize];
    source.copy_to(messages.as_mut_slice());
    let data = data_range(host, data)?;
    let replies = server.serve(&messages, data.as_ref(), room as usize);
    target.copy_from(replies.as_slice());
    Ok(replies.len() as i64)
}

/// The data range: from its address as far as the arena goes, at most the limit.
/// Messages say how much of it they use.
fn data_range(host: &Host, gpa: u64) -> Result<Option<GuestSlice<'_>>, GuestFault> {
    if gpa == 0 {
        return Ok(None);
    }
    let arena = host.memory.arenas().find(|arena| {
        gpa.checked_sub(arena.base().0)
            .is_some_and(|offset| offset < arena.len_bytes())
    });
    let left = arena.map_or(0, |arena| arena.base().0 + arena.len_bytes() - gpa);
    host.buffer(CALL, gpa, left.clamp(1, DATA_MAX_BYTES))
        .map(Some)
}

pub(super) fn handle_watch(
    host: &Host,
    volume: u64,
    node: u64,
    mask: u64,
) -> Result<i64, GuestFault> {
    let server = server(host, "volume_watch", volume)?;
    Ok(
        match host.volumes.watcher.watch(server, node, mask as u32) {
            Ok(number) => i64::from(number),
            Err(errno) => -i64::from(errno.raw_os_error()),
        },
    )
}

pub(super) fn handle_events(host: &Host, gpa: u64, len_bytes: u64) -> Result<i64, GuestFault> {
    let room = bounded("volume_events", "length", len_bytes)?;
    let target = host.buffer("volume_events", gpa, room)?;
    let events = host.volumes.watcher.take(room as usize);
    target.copy_from(events.as_slice());
    Ok(events.len() as i64)
}

impl Host {
    /// Tells the guest that something happened to what it watches.
    pub fn announce_volume_events(&self) {
        let offset = core::mem::offset_of!(SharedPage, volume_events);
        let Ok(shared) = self.shared_page() else {
            return;
        };
        if let Ok(word) = shared.get_atomic_ref::<AtomicU32>(offset) {
            word.store(1, Ordering::SeqCst);
            self.vcpus.call(1, unikiln_abi::call::EVENT_KICK);
        }
    }
}
