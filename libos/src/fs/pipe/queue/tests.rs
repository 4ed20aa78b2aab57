//! What goes in comes out: joined, apart, awaited and in advance.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::{Queue, Segment, blank_page};

fn segment(bytes: &[u8], packet: bool) -> Segment {
    let mut page = blank_page();
    if let Some(page) = Arc::get_mut(&mut page) {
        page[..bytes.len()].copy_from_slice(bytes);
    }
    Segment::new(page, bytes.len(), packet)
}

fn write(queue: &mut Queue, bytes: &[u8]) -> bool {
    queue.append(segment(bytes, false)).is_ok()
}

fn read(queue: &mut Queue, most: usize) -> Vec<u8> {
    let taken = queue.take(most, None).into_segments();
    taken.flat_map(|segment| segment.bytes().to_vec()).collect()
}

#[test]
fn small_writes_share_a_page() {
    let mut queue = Queue::new(2);
    for _ in 0..4096 {
        assert!(write(&mut queue, b"ab"));
    }
    assert_eq!((queue.free_slots(), queue.bytes()), (0, 8192));
    assert!(!write(&mut queue, b"c"));
    assert_eq!(read(&mut queue, 5000).len(), 5000);
    assert_eq!(queue.free_slots(), 1);
    assert_eq!(read(&mut queue, 9999).len(), 3192);
    assert!(queue.is_empty());
}

#[test]
fn a_write_that_does_not_fit_a_page_gets_its_own() {
    let mut queue = Queue::new(2);
    assert!(write(&mut queue, &[1; 3000]));
    assert!(write(&mut queue, &[2; 3000]));
    assert!(!write(&mut queue, &[3; 3000]));
    assert!(write(&mut queue, &[4; 1096]), "joins the second");
    assert_eq!(read(&mut queue, 1), [1]);
    assert!(!write(&mut queue, &[5; 1]), "the page is still in use");
    assert!(queue.take(2999, None).made_room);
}

#[test]
fn a_sleeping_reader_is_room() {
    let mut queue = Queue::new(1);
    let pages = queue.await_bytes(5000);
    assert_eq!((pages, queue.free_slots()), (2, 3));
    for _ in 0..3 {
        assert!(write(&mut queue, &[1; 4096]));
    }
    assert!(!write(&mut queue, &[1; 4096]));
    let taken = queue.take(5000, None);
    queue.awaits_no_more(pages);
    assert_eq!((queue.free_slots(), queue.bytes()), (0, 3 * 4096 - 5000));
    queue.put_back(taken.into_segments());
    assert_eq!(queue.take(usize::MAX, None).into_segments().count(), 3);
}

#[test]
fn a_backlog_follows_as_room_comes() {
    let mut queue = Queue::new(1);
    assert!(write(&mut queue, b"a"));
    assert!(queue.begin_backlog() && !queue.begin_backlog());
    let given = vec![segment(b"b", false), segment(b"cd", false)];
    assert!(!queue.add_backlog(given));
    assert_eq!((queue.bytes(), queue.has_backlog()), (1, true));
    let taken = queue.take(1, None);
    assert!(!taken.made_room);
    assert_eq!(taken.into_segments().count(), 1);
    assert_eq!((queue.bytes(), queue.has_backlog()), (1, true));
    assert!(queue.take(9, None).made_room, "all is in the queue");
    assert_eq!((queue.bytes(), queue.end_backlog()), (2, 0));

    assert!(queue.begin_backlog());
    assert!(!queue.add_backlog(vec![segment(b"efg", false)]));
    assert_eq!(queue.end_backlog(), 3);
    assert_eq!(read(&mut queue, 9), b"cd");
}

#[test]
fn a_backlog_takes_room_however_it_comes() {
    let mut queue = Queue::new(1);
    assert!(write(&mut queue, b"a"));
    assert!(queue.begin_backlog());
    assert_eq!(read(&mut queue, 9), b"a");
    let given = [b"b", b"c", b"d", b"e"].map(|bytes| segment(bytes, false));
    assert!(queue.add_backlog(given.into()), "it was read empty");
    assert_eq!((queue.set_slots(2), queue.bytes()), (Some(false), 2));
    assert_eq!((queue.set_slots(4), queue.bytes()), (Some(true), 4));
    assert_eq!((queue.set_slots(3), queue.end_backlog()), (None, 0));

    let mut queue = Queue::new(2);
    assert_eq!(queue.reserve(9), 2);
    assert!(queue.begin_backlog());
    assert!(!queue.add_backlog(vec![segment(b"f", false)]));
    assert!(queue.fill(2, core::iter::empty()), "nothing came");
    assert_eq!(read(&mut queue, 9), b"f");
}

#[test]
fn packets_stay_apart_and_lose_what_is_not_read() {
    let mut queue = Queue::new(4);
    for bytes in [b"first".as_slice(), b"second", b"third"] {
        assert!(queue.append(segment(bytes, true)).is_ok());
    }
    assert_eq!(read(&mut queue, 3), b"fir");
    assert_eq!(read(&mut queue, 100), b"second");
    assert!(write(&mut queue, b"stream"));
    assert_eq!(read(&mut queue, 100), b"third");
    assert_eq!(read(&mut queue, 100), b"stream");
}

#[test]
fn what_is_put_back_is_as_it_was() {
    let mut queue = Queue::new(4);
    assert!(write(&mut queue, b"abcdef"));
    assert!(write(&mut queue, &[b'x'; 4096]));
    let taken = queue.take(3, None);
    queue.put_back(taken.into_segments());
    assert_eq!(queue.free_slots(), 2);
    let taken = queue.take(100, None);
    queue.put_back(taken.into_segments());
    assert_eq!(queue.free_slots(), 2);
    assert_eq!(read(&mut queue, 8), b"abcdefxx");
}

#[test]
fn a_shared_page_is_not_written_to() {
    let mut queue = Queue::new(4);
    assert!(write(&mut queue, b"abc"));
    let copies = queue.peek(2, 4);
    assert!(write(&mut queue, b"def"));
    assert_eq!(copies[0].bytes(), b"ab");
    assert_eq!(queue.free_slots(), 2, "a page of its own");
    assert_eq!(read(&mut queue, 10), b"abcdef");
}

#[test]
fn reserved_slots_are_not_given_away() {
    let mut queue = Queue::new(2);
    assert_eq!(queue.reserve(5), 2);
    assert!(!write(&mut queue, b"x"));
    assert!(queue.fill(2, core::iter::once(segment(b"y", false))));
    assert!(write(&mut queue, b"x"));
    assert_eq!(read(&mut queue, 10), b"yx");
}
