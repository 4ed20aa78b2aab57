//! Interfaces, addresses and routes as `/proc/net` shows them. Source: proc(5), and
//! what Linux prints. Where the host tells nothing, nothing is listed.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use linux_raw_sys::net::{AF_INET, AF_INET6};
use unikiln_abi::socket::{DUMP_ADDRESSES, DUMP_LINKS, DUMP_ROUTES};

use super::message::{self, Message, RTM_NEWADDR, RTM_NEWLINK, RTM_NEWROUTE};

/// Attributes of links: name, counters.
const IFLA_IFNAME: u16 = 3;
const IFLA_STATS64: u16 = 23;
/// Attributes of addresses.
const IFA_ADDRESS: u16 = 1;
/// Attributes of routes: where to, out of which link, by whom, how dear.
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_TABLE: u16 = 15;
/// The table of routes that are for other machines.
const TABLE_MAIN: u32 = 254;
/// A route to a machine.
const UNICAST: u8 = 1;
/// Flags of a route: it is up, goes by a gateway, leads to one machine.
const ROUTE_UP: u32 = 1;
const ROUTE_GATEWAY: u32 = 2;
const ROUTE_HOST: u32 = 4;
/// Bytes of a line of `/proc/net/route`.
const ROUTE_LINE_BYTES: usize = 127;

fn text(bytes: Option<&[u8]>) -> String {
    String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
}

/// The messages of one type.
fn of_kind(dumped: &[u8], kind: u16) -> impl Iterator<Item = Message<'_>> {
    message::messages(dumped).filter(move |entry| entry.kind == kind)
}

/// The name of a link by its number.
fn link_name(links: &[u8], index: u32) -> String {
    let mut links = of_kind(links, RTM_NEWLINK);
    let link = links.find(|link| message::word(link.body, 4) == index);
    text(link.and_then(|link| link.text(IFLA_IFNAME)))
}

/// Lines of `/proc/net/dev`.
pub fn devices() -> String {
    let links = message::dump(DUMP_LINKS, 0).unwrap_or_default();
    of_kind(&links, RTM_NEWLINK)
        .map(|link| device(&link))
        .collect()
}

fn device(link: &Message<'_>) -> String {
    let counters: Vec<u64> = link
        .attribute(IFLA_STATS64)
        .unwrap_or_default()
        .as_chunks()
        .0
        .iter()
        .map(|word| u64::from_ne_bytes(*word))
        .collect();
    // As in `struct rtnl_link_stats64`.
    let sum = |indices: &[usize]| -> u64 {
        let known = indices.iter().filter_map(|index| counters.get(*index));
        known.sum()
    };
    let of = |index| sum(&[index]);
    format!(
        "{:>6}: {:7} {:7} {:4} {:4} {:4} {:5} {:10} {:9} {:8} {:7} {:4} {:4} {:4} {:5} {:7} {:10}\n",
        text(link.text(IFLA_IFNAME)),
        of(2),
        of(0),
        of(4),
        sum(&[6, 15]),
        of(14),
        sum(&[10, 11, 12, 13]),
        of(21),
        of(8),
        of(3),
        of(1),
        of(5),
        of(7),
        of(18),
        of(9),
        sum(&[16, 17, 19, 20]),
        of(22),
    )
}

/// Lines of `/proc/net/if_inet6`.
pub fn addresses_v6() -> String {
    let Ok(dumped) = message::dump(DUMP_ADDRESSES, AF_INET6) else {
        return String::new();
    };
    let links = message::dump(DUMP_LINKS, 0).unwrap_or_default();
    let own = of_kind(&dumped, RTM_NEWADDR)
        .filter(|entry| u32::from(message::byte(entry.body, 0)) == AF_INET6);
    own.map(|entry| address_v6(&entry, &links)).collect()
}

fn address_v6(entry: &Message<'_>, links: &[u8]) -> String {
    let address = entry.attribute(IFA_ADDRESS).unwrap_or_default();
    let digits: String = address.iter().map(|byte| format!("{byte:02x}")).collect();
    let index = message::word(entry.body, 4);
    // Machine, link, site, world.
    let scope = match message::byte(entry.body, 3) {
        254 => 0x10,
        253 => 0x20,
        200 => 0x40,
        _ => 0,
    };
    format!(
        "{digits} {index:02x} {:02x} {scope:02x} {:02x} {:>8}\n",
        message::byte(entry.body, 1),
        message::byte(entry.body, 2),
        link_name(links, index)
    )
}

/// Lines of `/proc/net/route`.
pub fn routes() -> String {
    let Ok(dumped) = message::dump(DUMP_ROUTES, AF_INET) else {
        return String::new();
    };
    let links = message::dump(DUMP_LINKS, 0).unwrap_or_default();
    let own = of_kind(&dumped, RTM_NEWROUTE).filter(|route| {
        u32::from(message::byte(route.body, 0)) == AF_INET
            && message::byte(route.body, 7) == UNICAST
            && table_of(route) == TABLE_MAIN
    });
    own.map(|route| line(&route, &links)).collect()
}

fn table_of(route: &Message<'_>) -> u32 {
    match route.attribute(RTA_TABLE) {
        Some(table) => message::word(table, 0),
        None => message::byte(route.body, 4).into(),
    }
}

fn line(route: &Message<'_>, links: &[u8]) -> String {
    let number = |kind| message::word(route.attribute(kind).unwrap_or_default(), 0);
    let bits = u32::from(message::byte(route.body, 1)).min(32);
    let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0).to_be();
    let mut flags = ROUTE_UP;
    if route.attribute(RTA_GATEWAY).is_some() {
        flags |= ROUTE_GATEWAY;
    }
    if bits == 32 {
        flags |= ROUTE_HOST;
    }
    let fields = format!(
        "{}\t{:08X}\t{:08X}\t{flags:04X}\t0\t0\t{}\t{mask:08X}\t0\t0\t0",
        link_name(links, number(RTA_OIF)),
        number(RTA_DST),
        number(RTA_GATEWAY),
        number(RTA_PRIORITY) as i32,
    );
    format!("{fields:<ROUTE_LINE_BYTES$}\n")
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;

    fn attribute(kind: u16, data: &[u8]) -> Vec<u8> {
        let mut bytes = (4 + data.len() as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn bytes(kind: u16, body: &[u8]) -> Vec<u8> {
        let message = Message {
            kind,
            flags: 0,
            sequence: 0,
            body,
        };
        message.to_bytes(0, 0, 0)
    }

    fn link() -> Vec<u8> {
        let mut body = vec![0; 16];
        body[4] = 2;
        body.extend(attribute(IFLA_IFNAME, b"eth0\0"));
        let counters: Vec<u8> = (1..=24u64).flat_map(u64::to_ne_bytes).collect();
        body.extend(attribute(IFLA_STATS64, &counters));
        bytes(RTM_NEWLINK, &body)
    }

    #[test]
    fn a_device_has_its_counters_in_columns() {
        let link = link();
        let shown = device(&message::messages(&link).next().unwrap());
        let words: Vec<&str> = shown.split_whitespace().collect();
        let wanted = [
            "eth0:", "3", "1", "5", "23", "15", "50", "22", "9", "4", "2", "6", "8", "19", "10",
            "76", "23",
        ];
        assert_eq!(words, wanted);
    }

    #[test]
    fn a_route_is_shown_in_the_hosts_byte_order() {
        let mut body = vec![2, 16, 0, 0, 254, 0, 0, 1, 0, 0, 0, 0];
        body.extend(attribute(RTA_DST, &[10, 1, 0, 0]));
        body.extend(attribute(RTA_GATEWAY, &[10, 0, 0, 1]));
        body.extend(attribute(RTA_OIF, &[2, 0, 0, 0]));
        let route = bytes(RTM_NEWROUTE, &body);
        let shown = line(&message::messages(&route).next().unwrap(), &link());
        assert_eq!(shown.len(), 128);
        assert_eq!(
            shown.trim_end(),
            "eth0\t0000010A\t0100000A\t0003\t0\t0\t0\t0000FFFF\t0\t0\t0"
        );
    }

    #[test]
    fn an_address_is_shown_with_its_scope() {
        let mut body = vec![10, 64, 0x80, 253, 2, 0, 0, 0];
        body.extend(attribute(IFA_ADDRESS, &[0xfe; 16]));
        let entry = bytes(RTM_NEWADDR, &body);
        let shown = address_v6(&message::messages(&entry).next().unwrap(), &link());
        let digits = "fe".repeat(16);
        assert_eq!(shown, format!("{digits} 02 40 20 80     eth0\n"));
    }
}
