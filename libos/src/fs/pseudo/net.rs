//! `/proc/net`: empty tables under their headers. Connections are the host's, and
//! the guest has no interface of its own to list.

use super::item::{Item, fixed, own_text};
use crate::net::unix::listing;

const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
const TCP6: &str = "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
const UDP: &str = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops             ";
const UDP6: &str = "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops";

/// The names of `/proc/PID/net`.
pub(super) const ITEMS: &[Item] = &[
    fixed!(
        "dev",
        "Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n"
    ),
    fixed!("if_inet6", ""),
    fixed!("tcp", "{TCP:<149}\n"),
    fixed!("tcp6", "{TCP6}\n"),
    fixed!("udp", "{UDP}\n"),
    fixed!("udp6", "{UDP6}\n"),
    fixed!("raw", "{UDP}\n"),
    fixed!("raw6", "{UDP6}\n"),
    own_text("unix", 0o444, |_, content| {
        content.extend(listing::text());
        Ok(())
    }),
    fixed!(
        "route",
        "{:<127}\n",
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT"
    ),
    fixed!("ipv6_route", ""),
    fixed!(
        "arp",
        "IP address       HW type     Flags       HW address            Mask     Device\n"
    ),
    fixed!(
        "netlink",
        "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n"
    ),
    fixed!(
        "sockstat",
        "sockets: used 0\nTCP: inuse 0 orphan 0 tw 0 alloc 0 mem 0\nUDP: inuse 0 mem 0\nUDPLITE: inuse 0\nRAW: inuse 0\nFRAG: inuse 0 memory 0\n"
    ),
    fixed!(
        "sockstat6",
        "TCP6: inuse 0\nUDP6: inuse 0\nUDPLITE6: inuse 0\nRAW6: inuse 0\nFRAG6: inuse 0 memory 0\n"
    ),
];
