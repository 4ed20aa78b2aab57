//! `/proc/sysvipc`: what there is of System V, from what the calls' IPC_STAT says.

use alloc::vec::Vec;

use super::item::{Item, Numbers, out, text};
use crate::errno::Errno;
use crate::syscall::{queue, sem, shm};

pub(super) const ITEMS: &[Item] = &[
    text("msg", queues),
    text("sem", semaphores),
    text("shm", segments),
];

fn halves(word: u64) -> (u32, u32) {
    (word as u32, (word >> 32) as u32)
}

/// Key, id and mode.
fn put_name(content: &mut Vec<u8>, id: i32, [first, _, third]: [u64; 3]) {
    let (key, mode) = (first as i32, halves(third).1);
    out!(content, "{key:10} {id:10}  {mode:4o} ");
}

/// Owner's user and group, creator's user and group.
fn put_owners(content: &mut Vec<u8>, [first, second, third]: [u64; 3]) {
    let (uid, (gid, creator_uid), creator_gid) = (first >> 32, halves(second), third as u32);
    out!(content, "{uid:5} {gid:5} {creator_uid:5} {creator_gid:5}");
}

fn queues(_: Numbers, content: &mut Vec<u8>) -> Result<(), Errno> {
    out!(
        content,
        "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      stime      rtime      ctime\n"
    );
    for (id, status) in queue::list() {
        let [
            a,
            b,
            c,
            _,
            _,
            _,
            sent,
            received,
            changed,
            bytes,
            count,
            _,
            users,
            ..,
        ] = status;
        let (sender, receiver) = halves(users);
        put_name(content, id, [a, b, c]);
        out!(content, " {bytes:10} {count:10} {sender:5} {receiver:5} ");
        put_owners(content, [a, b, c]);
        out!(content, " {sent:10} {received:10} {changed:10}\n");
    }
    Ok(())
}

fn semaphores(_: Numbers, content: &mut Vec<u8>) -> Result<(), Errno> {
    out!(
        content,
        "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n"
    );
    for (id, status) in sem::list() {
        let [a, b, c, _, _, _, operated, _, changed, _, count, ..] = status;
        put_name(content, id, [a, b, c]);
        out!(content, "{count:10} ");
        put_owners(content, [a, b, c]);
        out!(content, " {operated:10} {changed:10}\n");
    }
    Ok(())
}

fn segments(_: Numbers, content: &mut Vec<u8>) -> Result<(), Errno> {
    out!(
        content,
        "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime      dtime      ctime                   rss                  swap\n"
    );
    for (id, status, resident) in shm::list() {
        let [
            a,
            b,
            c,
            _,
            _,
            _,
            bytes,
            attached,
            detached,
            changed,
            users,
            count,
            ..,
        ] = status;
        let (creator, last) = halves(users);
        put_name(content, id, [a, b, c]);
        out!(content, "{bytes:21} {creator:5} {last:5}  {count:5} ");
        put_owners(content, [a, b, c]);
        out!(content, " {attached:10} {detached:10} {changed:10} ");
        out!(content, "{resident:21} {:21}\n", 0);
    }
    Ok(())
}
