//! Kinds of files and descriptors.

use linux_raw_sys::general::{O_APPEND, O_CREAT, O_RDONLY, O_RDWR, O_WRONLY};

use super::{mounted, names, read_all, root, unlink, write_all};
use crate::errno::Errno;
use crate::fs::pipe::Pipe;
use crate::fs::transfer::BufferSource;
use crate::fs::{FdTable, open, resolve};

#[test]
fn appending_and_positions() {
    let Some(_alone) = mounted() else { return };
    write_all("/tmp/log", O_CREAT | O_WRONLY, b"one").expect("makes");
    let file = open(b"/tmp/log", O_RDWR | O_APPEND, 0).expect("opens");
    let mut source = BufferSource(b"two");
    assert_eq!(file.write(&mut source), Ok(3));
    assert_eq!(file.position(), 6);
    assert_eq!(read_all("/tmp/log").as_deref(), Ok(&b"onetwo"[..]));
    assert_eq!(file.seek(-1, 0), Err(Errno::EINVAL));
    assert_eq!(file.seek(-1, 2), Ok(5));
    unlink("/tmp/log").expect("removes");
}

#[test]
fn proc_tells_of_the_process() {
    let Some(_alone) = mounted() else { return };
    let tool = open(b"/usr/bin/tool", O_RDONLY, 0).expect("opens");
    crate::process::current().image.lock().file = Some(tool);
    let (link, ..) = resolve(&root(), None, b"/proc/self", false)
        .expect("resolves")
        .existing()
        .expect("exists");
    assert_eq!(link.link_target().expect("links").path(), Some(&b"1"[..]));
    let exe = open(b"/proc/self/exe", O_RDONLY, 0).expect("opens");
    assert_eq!(exe.size(), 10_000);
    // Every file and link can be looked at, and every directory listed.
    let mut queue = vec![String::from("/proc"), String::from("/sys")];
    let mut seen = 0;
    while let Some(path) = queue.pop() {
        for name in names(&path) {
            seen += 1;
            let path = format!("{path}/{name}");
            let found = resolve(&root(), None, path.as_bytes(), false);
            let (node, directory, _) = found.expect("resolves").existing().expect("exists");
            node.attributes().expect("stats");
            if node.is_directory() {
                let up = node.parent().expect("has a parent");
                assert_eq!(up.identity(), directory.identity(), "{path}");
                queue.push(path);
            } else if node.link_target().is_err() {
                open(path.as_bytes(), O_RDONLY, 0)
                    .unwrap_or_else(|errno| panic!("{path}: {errno:?}"));
            }
        }
    }
    assert!(seen > 100, "{seen}");
    let text = |path: &str| {
        let file = open(path.as_bytes(), O_RDONLY, 0).expect("opens");
        let mut bytes = vec![0; 64 << 10];
        let count = file.read_at(0, &mut bytes).expect("reads");
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    };
    assert_eq!(text("/proc/self/stat").split(' ').count(), 52);
    assert!(text("/proc/meminfo").starts_with("MemTotal:"));
    assert!(text("/proc/cpuinfo").contains("flags\t\t: fpu"));
    assert_eq!(text("/proc/sys/kernel/random/uuid").len(), 37);
    assert_eq!(&text("/proc/sys/kernel/random/uuid")[14..15], "4");
    assert_eq!(text("/sys/devices/system/cpu/online"), "0\n");
    let file = open(b"/proc/self/comm", O_RDWR, 0).expect("opens");
    assert_eq!(file.write_at(0, b"renamed"), Ok(7));
    assert_eq!(text("/proc/1/task/1/comm"), "renamed\n");
}

#[test]
fn pipes_carry_and_end() {
    let Some(_alone) = mounted() else { return };
    let (read, write) = Pipe::pair(linux_raw_sys::general::O_NONBLOCK);
    let mut seen = [0; 8];
    assert_eq!(read.read_at(0, &mut seen), Err(Errno::EAGAIN));
    assert_eq!(write.write_at(0, b"hello"), Ok(5));
    assert_eq!(read.read_at(0, &mut seen[..3]), Ok(3));
    assert_eq!(read.read_at(0, &mut seen), Ok(2));
    let much = vec![1; 100_000];
    assert_eq!(write.write_at(0, &much), Ok(65_536));
    assert_eq!(write.write_at(0, b"x"), Err(Errno::EAGAIN));
    let mut some = vec![0; 4095];
    assert_eq!(read.read_at(0, &mut some), Ok(4095));
    assert_eq!(
        write.write_at(0, &much[..4096]),
        Err(Errno::EAGAIN),
        "all or nothing"
    );
    assert_eq!(read.read_at(0, &mut some[..1]), Ok(1));
    assert_eq!(write.write_at(0, &much[..4096]), Ok(4096));
    drop(write);
    let mut rest = vec![0; 100_000];
    assert_eq!(read.read_at(0, &mut rest), Ok(65_536));
    assert_eq!(read.read_at(0, &mut rest), Ok(0));
    let (read, write) = Pipe::pair(0);
    drop(read);
    assert_eq!(write.write_at(0, b"x"), Err(Errno::EPIPE));
}

#[test]
fn descriptors_are_lowest_first_and_limited() {
    let Some(_alone) = mounted() else { return };
    let file = open(b"/dev/null", O_RDONLY, 0).expect("opens");
    let mut table = FdTable::new();
    for fd in 0..4 {
        assert_eq!(table.insert(file.clone(), fd == 2, 0, 4), Ok(fd));
    }
    assert_eq!(table.insert(file.clone(), false, 0, 4), Err(Errno::EMFILE));
    assert!(table.remove(1).is_ok());
    assert_eq!(table.remove(1).err(), Some(Errno::EBADF));
    assert_eq!(table.get(-1).err(), Some(Errno::EBADF));
    assert_eq!(table.insert(file.clone(), false, 10, 64), Ok(10));
    assert_eq!(table.insert(file.clone(), false, 0, 64), Ok(1));
    assert_eq!(table.insert(file.clone(), false, 0, 64), Ok(4));
    table.close_on_exec();
    assert_eq!(table.numbers().collect::<Vec<_>>(), [0, 1, 3, 4, 10]);
    assert_eq!(table.insert(file, false, 0, 64), Ok(2));
}
