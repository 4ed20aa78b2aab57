//! Layouts, there and back.

use super::{ATTR_BYTES, Attr, Event, FATTR_MODE, Fields, InHeader, NODE_ROOT, SetAttr, opcode};

#[test]
fn structures_come_back_as_they_went() {
    let header = InHeader {
        len: 41,
        opcode: opcode::LOOKUP,
        unique: 7,
        node: NODE_ROOT,
        uid: 1,
        gid: 2,
    };
    let bytes = header.to_bytes();
    assert_eq!(InHeader::read(&mut Fields(&bytes)), Some(header));
    let attr = Attr {
        ino: 1,
        size: 2,
        blocks: 3,
        seconds: [4, -5, 6],
        nanoseconds: [7, 8, 9],
        mode: 10,
        nlink: 11,
        uid: 12,
        gid: 13,
        rdev: 14,
        block_bytes: 15,
    };
    let bytes = attr.to_bytes();
    assert_eq!(Attr::read(&mut Fields(&bytes)), Some(attr));
    let short = &bytes[..ATTR_BYTES - 1];
    assert_eq!(Attr::read(&mut Fields(short)), None);
    let set = SetAttr {
        valid: FATTR_MODE,
        handle: 1,
        size: 2,
        seconds: [3, 4],
        nanoseconds: [5, 6],
        mode: 7,
        uid: 8,
        gid: 9,
    };
    assert_eq!(SetAttr::read(&mut Fields(&set.to_bytes())), Some(set));
}

#[test]
fn names_end_with_a_nul() {
    let mut fields = Fields(b"one\0two");
    assert_eq!(fields.name(), Some(&b"one"[..]));
    assert_eq!(fields.name(), None);
    assert_eq!(fields.bytes(4), None);
}

#[test]
fn events_come_back_as_they_went() {
    let event = Event {
        watch: 1,
        mask: 2,
        cookie: 3,
        name_bytes: 4,
    };
    assert_eq!(Event::read(&mut Fields(&event.to_bytes())), Some(event));
}
