//! `ROOTFS_MAP [index]`: one more window of the unikernel file.

use super::{Host, lock};
use crate::fault::GuestFault;
use crate::rootfs::RootfsError;

pub(super) fn handle(host: &Host, index: u64) -> Result<i64, GuestFault> {
    match lock(&host.growth).rootfs.map(index, host.slots.as_ref()) {
        Ok(()) => Ok(0),
        Err(RootfsError::NoSuchWindow { index }) => Err(GuestFault::BadArgument {
            call: "rootfs_map",
            name: "window",
            value: index,
        }),
        Err(_) => Err(GuestFault::Window { index }),
    }
}
