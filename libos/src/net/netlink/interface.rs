//! Interfaces by `ioctl`: SIOCGIFCONF and its relatives. Source: netdevice(7).
//!
//! ```text
//!  struct ifreq   0 name, 16 bytes; 16 sockaddr, number or flags, 24 bytes
//!  struct ifconf  0 bytes(u32) 8 address of the ifreqs
//! ```

use alloc::vec;
use alloc::vec::Vec;

use linux_raw_sys::ioctl::{
    SIOCGIFADDR, SIOCGIFBRDADDR, SIOCGIFCONF, SIOCGIFDSTADDR, SIOCGIFFLAGS, SIOCGIFHWADDR,
    SIOCGIFINDEX, SIOCGIFMETRIC, SIOCGIFMTU, SIOCGIFNAME, SIOCGIFNETMASK, SIOCGIFTXQLEN,
};
use linux_raw_sys::net::AF_INET;
use unikiln_abi::socket::{DUMP_ADDRESSES, DUMP_LINKS};

use super::message::{self, Message, RTM_NEWADDR, RTM_NEWLINK};
use crate::errno::{Errno, SysResult};
use crate::mm::user;

/// Bytes of a name, its NUL counted.
const NAME_BYTES: usize = 16;
/// Bytes of `struct ifreq`.
const REQUEST_BYTES: usize = 40;
/// Requests that change an interface.
const SET_REQUESTS: [u32; 12] = [
    0x8914, 0x8916, 0x8918, 0x891a, 0x891c, 0x891e, 0x8922, 0x8923, 0x8924, 0x8931, 0x8932, 0x8943,
];

/// Attributes of links.
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_TXQLEN: u16 = 13;
/// Attributes of addresses.
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_LABEL: u16 = 3;
const IFA_BROADCAST: u16 = 4;

/// Serves a request that sockets of `domain` have; none where they do not.
pub fn ioctl(domain: u32, request: u32, argument: u64) -> Option<SysResult> {
    let of_address = matches!(
        request,
        SIOCGIFADDR | SIOCGIFBRDADDR | SIOCGIFDSTADDR | SIOCGIFNETMASK
    );
    match request {
        SIOCGIFCONF => Some(list(argument)),
        _ if SET_REQUESTS.contains(&request) => Some(Err(Errno::EPERM)),
        _ if of_address && domain == AF_INET => Some(ask(request, argument)),
        SIOCGIFNAME | SIOCGIFFLAGS | SIOCGIFMETRIC | SIOCGIFMTU | SIOCGIFHWADDR | SIOCGIFINDEX
        | SIOCGIFTXQLEN => Some(ask(request, argument)),
        _ => None,
    }
}

/// What goes into the second part of an ifreq.
type Value = [u8; REQUEST_BYTES - NAME_BYTES];

fn value(bytes: &[u8]) -> Value {
    let mut value = Value::default();
    for (to, from) in value.iter_mut().zip(bytes) {
        *to = *from;
    }
    value
}

/// An address without a port (`struct sockaddr_in`).
fn inet(address: &[u8]) -> Value {
    let mut raw = (AF_INET as u16).to_ne_bytes().to_vec();
    raw.extend_from_slice(&[0; 2]);
    raw.extend_from_slice(address);
    value(&raw)
}

/// The mask of a prefix of so many bits.
fn mask(prefix: u8) -> [u8; 4] {
    let bits = u32::from(prefix).min(32);
    u32::MAX.checked_shl(32 - bits).unwrap_or(0).to_be_bytes()
}

fn request_bytes(name: &[u8], value: Value) -> Vec<u8> {
    let mut request = vec![0; NAME_BYTES];
    for (to, from) in request.iter_mut().zip(name.iter().take(NAME_BYTES - 1)) {
        *to = *from;
    }
    request.extend_from_slice(&value);
    request
}

/// The addresses of AF_INET.
fn addresses(dumped: &[u8]) -> impl Iterator<Item = Message<'_>> {
    message::messages(dumped).filter(|entry| {
        entry.kind == RTM_NEWADDR && u32::from(message::byte(entry.body, 0)) == AF_INET
    })
}

/// SIOCGIFCONF: each address of AF_INET, under its name.
fn list(argument: u64) -> SysResult {
    let room = user::read::<i32>(argument)?;
    let place = user::read::<u64>(argument.wrapping_add(8))?;
    let dumped = message::dump(DUMP_ADDRESSES, AF_INET)?;
    let requests = addresses(&dumped).map(|entry| {
        let name = entry.text(IFA_LABEL).unwrap_or_default();
        request_bytes(name, inet(entry.attribute(IFA_LOCAL).unwrap_or_default()))
    });
    let mut bytes: Vec<u8> = requests.flatten().collect();
    if place != 0 {
        let room = usize::try_from(room).map_err(|_| Errno::EINVAL)?;
        bytes.truncate(room - room % REQUEST_BYTES);
        user::copy_out(place, &bytes)?;
    }
    user::write::<u32>(argument, &(bytes.len() as u32))?;
    Ok(0)
}

/// A request about one interface: ENODEV; EADDRNOTAVAIL where it has no address.
fn ask(request: u32, argument: u64) -> SysResult {
    let mut raw = [0; REQUEST_BYTES];
    user::copy_in(argument, &mut raw)?;
    let given = raw.get(..NAME_BYTES).unwrap_or_default();
    let given = given.split(|byte| *byte == 0).next().unwrap_or_default();
    // What follows a colon tells the addresses of one interface apart.
    let device = given.split(|byte| *byte == b':').next().unwrap_or(given);
    let dumped = message::dump(DUMP_LINKS, 0)?;
    let mut links = message::messages(&dumped).filter(|link| link.kind == RTM_NEWLINK);
    let link = links.find(|link| match request {
        SIOCGIFNAME => message::word(link.body, 4) == message::word(&raw, NAME_BYTES),
        _ => link.text(IFLA_IFNAME) == Some(device),
    });
    let link = link.ok_or(Errno::ENODEV)?;
    if request == SIOCGIFNAME {
        let name = link.text(IFLA_IFNAME).unwrap_or_default();
        let kept = value(raw.get(NAME_BYTES..).unwrap_or_default());
        user::copy_out(argument, &request_bytes(name, kept))?;
        return Ok(0);
    }
    let answer = match request {
        SIOCGIFADDR | SIOCGIFBRDADDR | SIOCGIFDSTADDR | SIOCGIFNETMASK => {
            of_address(request, given, &link)?
        }
        _ => of_link(request, &link),
    };
    let place = argument.wrapping_add(NAME_BYTES as u64);
    let used = match request {
        SIOCGIFFLAGS => 2,
        SIOCGIFINDEX | SIOCGIFMTU | SIOCGIFMETRIC | SIOCGIFTXQLEN => 4,
        _ => NAME_BYTES,
    };
    user::copy_out(place, answer.get(..used).unwrap_or(&answer))?;
    Ok(0)
}

/// What is said of the interface itself.
fn of_link(request: u32, link: &Message<'_>) -> Value {
    let number = |kind| message::word(link.attribute(kind).unwrap_or_default(), 0);
    match request {
        SIOCGIFFLAGS => value(&message::half(link.body, 8).to_ne_bytes()),
        SIOCGIFINDEX => value(&message::word(link.body, 4).to_ne_bytes()),
        SIOCGIFMTU => value(&number(IFLA_MTU).to_ne_bytes()),
        SIOCGIFTXQLEN => value(&number(IFLA_TXQLEN).to_ne_bytes()),
        SIOCGIFHWADDR => {
            let mut raw = message::half(link.body, 2).to_ne_bytes().to_vec();
            raw.extend_from_slice(link.attribute(IFLA_ADDRESS).unwrap_or_default());
            value(&raw)
        }
        _ => Value::default(),
    }
}

/// What is said of an address of the interface: the one of that name, or its first.
fn of_address(request: u32, name: &[u8], link: &Message<'_>) -> Result<Value, Errno> {
    let index = message::word(link.body, 4);
    let dumped = message::dump(DUMP_ADDRESSES, AF_INET)?;
    let mut own = addresses(&dumped).filter(|entry| message::word(entry.body, 4) == index);
    let entry = own.find(|entry| entry.text(IFA_LABEL) == Some(name));
    let entry = entry.ok_or(Errno::EADDRNOTAVAIL)?;
    let attribute = |kind| entry.attribute(kind).unwrap_or(&[0; 4]);
    Ok(match request {
        SIOCGIFADDR => inet(attribute(IFA_LOCAL)),
        SIOCGIFBRDADDR => inet(attribute(IFA_BROADCAST)),
        SIOCGIFDSTADDR => inet(attribute(IFA_ADDRESS)),
        _ => inet(&mask(message::byte(entry.body, 1))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_of_prefixes() {
        assert_eq!(mask(0), [0; 4]);
        assert_eq!(mask(8), [255, 0, 0, 0]);
        assert_eq!(mask(31), [255, 255, 255, 254]);
        assert_eq!(mask(32), [255; 4]);
        assert_eq!(mask(255), [255; 4]);
    }

    #[test]
    fn requests_are_laid_out_as_linux_does() {
        let request = request_bytes(b"lo", inet(&[127, 0, 0, 1]));
        assert_eq!(request.len(), REQUEST_BYTES);
        assert_eq!(request[..4], *b"lo\0\0");
        assert_eq!(request[16..24], [2, 0, 0, 0, 127, 0, 0, 1]);
        let long = request_bytes(b"a-name-that-is-too-long", Value::default());
        assert_eq!(long[14..17], *b"-\0\0");
    }

    #[test]
    fn what_is_no_request_of_this_kind_is_left_to_others() {
        assert!(ioctl(AF_INET, 0x541b, 0).is_none());
        assert!(ioctl(10, SIOCGIFADDR, 0).is_none());
        assert_eq!(ioctl(1, 0x8914, 0), Some(Err(Errno::EPERM)));
    }
}
