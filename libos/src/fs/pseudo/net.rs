//! `/proc/net`: the guest's own sockets, and what the host says of its interfaces
//! and routes. The other tables are empty under their headers.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use linux_raw_sys::net::{AF_INET, AF_INET6};

use super::item::{Item, fixed, text};
use crate::errno::Errno;
use crate::net::Kind;
use crate::net::inet::listing as sockets;
use crate::net::netlink::listing as interfaces;
use crate::net::unix::listing;

const DEVICES: &str = "Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n";
const ROUTES: &str =
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT";
const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
const TCP6: &str = "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
const UDP: &str = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops             ";
const UDP6: &str = "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops";

/// A table under its header.
fn add(out: &mut Vec<u8>, head: &str, lines: String) -> Result<(), Errno> {
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(lines.as_bytes());
    Ok(())
}

/// Stream and datagram sockets of AF_INET6.
fn sockets_v6() -> [usize; 2] {
    [Kind::Stream, Kind::Datagram].map(|kind| sockets::count(AF_INET6, kind))
}

/// The names of `/proc/PID/net`.
pub(super) const ITEMS: &[Item] = &[
    text("dev", |_, out| add(out, DEVICES, interfaces::devices())),
    text("if_inet6", |_, out| {
        add(out, "", interfaces::addresses_v6())
    }),
    text("tcp", |_, out| {
        let head = format!("{TCP:<149}\n");
        add(out, &head, sockets::text(AF_INET, Kind::Stream))
    }),
    text("tcp6", |_, out| {
        let head = format!("{TCP6}\n");
        add(out, &head, sockets::text(AF_INET6, Kind::Stream))
    }),
    text("udp", |_, out| {
        let head = format!("{UDP}\n");
        add(out, &head, sockets::text(AF_INET, Kind::Datagram))
    }),
    text("udp6", |_, out| {
        let head = format!("{UDP6}\n");
        add(out, &head, sockets::text(AF_INET6, Kind::Datagram))
    }),
    fixed!("raw", "{UDP}\n"),
    fixed!("raw6", "{UDP6}\n"),
    text("unix", |_, out| {
        out.extend(listing::text());
        Ok(())
    }),
    text("route", |_, out| {
        let head = format!("{ROUTES:<127}\n");
        add(out, &head, interfaces::routes())
    }),
    fixed!("ipv6_route", ""),
    fixed!(
        "arp",
        "IP address       HW type     Flags       HW address            Mask     Device\n"
    ),
    fixed!(
        "netlink",
        "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n"
    ),
    text("sockstat", |_, out| {
        let [tcp, udp] = [Kind::Stream, Kind::Datagram].map(|kind| sockets::count(AF_INET, kind));
        let used = listing::count() + tcp + udp + sockets_v6().iter().sum::<usize>();
        let text = format!(
            "sockets: used {used}\nTCP: inuse {tcp} orphan 0 tw 0 alloc {tcp} mem 0\nUDP: inuse {udp} mem 0\nUDPLITE: inuse 0\nRAW: inuse 0\nFRAG: inuse 0 memory 0\n"
        );
        add(out, "", text)
    }),
    text("sockstat6", |_, out| {
        let [tcp, udp] = sockets_v6();
        let text = format!(
            "TCP6: inuse {tcp}\nUDP6: inuse {udp}\nUDPLITE6: inuse 0\nRAW6: inuse 0\nFRAG6: inuse 0 memory 0\n"
        );
        add(out, "", text)
    }),
];
