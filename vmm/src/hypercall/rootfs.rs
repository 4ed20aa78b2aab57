//! `ROOTFS_MAP [index]`: one more window of the unikernel file.

use super::Host;
use crate::fault::GuestFault;
use crate::rootfs::RootfsError;

pub(super) fn handle(host: &mut Host, index: u64) -> Result<i64, GuestFault> {
    match host.rootfs.map(index, host.slots.as_mut()) {
        Ok(()) => Ok(0),
        Err(RootfsError::NoSuchWindow { index }) => Err(GuestFault::BadArgument {
            call: "rootfs_map",
            name: "window",
            value: index,
        }),
        Err(_) => Err(GuestFault::Window { index }),
    }
}
