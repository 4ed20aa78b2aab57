//! What watches are told of files of the image, which have no inode in memory.

use std::sync::Arc;

use linux_raw_sys::general::{
    IN_ALL_EVENTS, IN_CLOSE_NOWRITE, IN_DELETE_SELF, IN_IGNORED, IN_ISDIR, IN_MODIFY, IN_OPEN,
    O_DIRECTORY, O_NONBLOCK, O_WRONLY,
};

use super::*;
use crate::fs::OpenFile;
use crate::fs::inotify;
use crate::fs::transfer::{BufferSink, BufferSource};

fn watch(instance: &Arc<OpenFile>, path: &str) -> usize {
    let (node, ..) = found(path).existing().expect("exists");
    let inotify = instance.file().as_inotify().expect("an instance");
    inotify
        .add(node.identity(), IN_ALL_EVENTS)
        .expect("is added")
}

/// Number, mask and name of each event that waits.
fn events(instance: &Arc<OpenFile>) -> Vec<(u32, u32, String)> {
    let mut raw = vec![0; 4096];
    let count = instance.read(&mut BufferSink(&mut raw)).unwrap_or(0);
    let mut rest = &raw[..count];
    let mut events = Vec::new();
    while !rest.is_empty() {
        let word = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().expect("4 bytes"));
        let end = 16 + word(12) as usize;
        let name = String::from_utf8_lossy(&rest[16..end]);
        events.push((word(0), word(4), name.trim_end_matches('\0').to_owned()));
        rest = &rest[end..];
    }
    events
}

#[test]
fn files_of_the_image_are_watched_by_what_they_are() {
    let Some(_alone) = mounted() else { return };
    let instance = inotify::open(O_NONBLOCK).expect("is made");
    let directory = watch(&instance, "/watched") as u32;
    let file = watch(&instance, "/watched/file") as u32;
    let event = |number, mask, name: &str| (number, mask, name.to_owned());
    // The second look-up is by the path cache.
    for _ in 0..2 {
        drop(open(b"/watched/file", O_RDONLY, 0).expect("opens"));
        let expected = [
            event(directory, IN_OPEN, "file"),
            event(file, IN_OPEN, ""),
            event(directory, IN_CLOSE_NOWRITE, "file"),
            event(file, IN_CLOSE_NOWRITE, ""),
        ];
        assert_eq!(events(&instance), expected);
    }
    // Copied up, it is the same file.
    let writer = open(b"/watched/file", O_WRONLY, 0).expect("opens");
    assert_eq!(writer.write(&mut BufferSource(b"new")), Ok(3));
    let seen = events(&instance);
    assert!(
        seen.contains(&event(directory, IN_MODIFY, "file")),
        "{seen:?}"
    );
    assert!(seen.contains(&event(file, IN_MODIFY, "")), "{seen:?}");
    drop(writer);
    let sub = open(b"/watched/sub", O_DIRECTORY, 0).expect("opens");
    let seen = events(&instance);
    assert!(
        seen.contains(&event(directory, IN_OPEN | IN_ISDIR, "sub")),
        "{seen:?}"
    );
    drop(sub);
    let other = watch(&instance, "/watched/other") as u32;
    events(&instance);
    unlink("/watched/other").expect("is removed");
    let seen = events(&instance);
    assert!(seen.contains(&event(other, IN_DELETE_SELF, "")), "{seen:?}");
    assert!(seen.contains(&event(other, IN_IGNORED, "")), "{seen:?}");
    drop(instance);
    assert!(!crate::fs::notify::is_active(), "nothing is left");
}
