//! The queue against files that rotate, that are full, and that take nothing.

use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use rustix::fs::{Mode, mkfifoat};

use super::*;

fn put(sink: &mut QueuedSink, text: &str) {
    sink.write(SystemTime::now(), Stream::Stdout, text.as_bytes());
}

/// The texts of a log's lines.
fn texts(log: &str) -> Vec<&str> {
    log.lines()
        .map(|line| line.splitn(4, ' ').nth(3).expect("a whole line"))
        .collect()
}

#[test]
fn nothing_is_lost_torn_or_doubled_over_rotations() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("0.log");
    let mut sink = QueuedSink::open(path.clone()).unwrap();
    let reopener = sink.reopener();
    let writer = std::thread::spawn(move || {
        for number in 0..60_000 {
            put(&mut sink, &format!("line {number}\n"));
        }
        sink.finish();
    });
    let rotated: Vec<PathBuf> = (0..50)
        .map(|number| {
            let to = directory.path().join(format!("0.log.{number}"));
            std::fs::rename(&path, &to).unwrap();
            reopener.reopen().unwrap();
            std::thread::sleep(Duration::from_millis(1));
            to
        })
        .collect();
    writer.join().unwrap();
    let mut next = 0;
    for file in rotated.iter().chain([&path]) {
        let text = std::fs::read_to_string(file).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "{file:?}");
        for line in texts(&text) {
            assert_eq!(line, format!("line {next}"), "{file:?}");
            next += 1;
        }
    }
    assert_eq!(next, 60_000);
}

#[test]
fn what_a_full_file_did_not_take_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("0.log");
    symlink("/dev/full", &path).unwrap();
    let mut sink = QueuedSink::open(path.clone()).unwrap();
    let line = format!("{}\n", "x".repeat(1023));
    let start = Instant::now();
    for _ in 0..3_000 {
        put(&mut sink, &line);
    }
    let waited = start.elapsed();
    assert!(waited < Duration::from_secs(5), "{waited:?}");
    std::fs::remove_file(&path).unwrap();
    sink.reopener().reopen().unwrap();
    // Once there is room again; before, this line would be dropped as well.
    let deadline = Instant::now() + Duration::from_secs(10);
    while std::fs::metadata(&path).unwrap().len() < 900_000 {
        assert!(Instant::now() < deadline, "what was kept is not written");
        std::thread::sleep(Duration::from_millis(1));
    }
    put(&mut sink, "after\n");
    sink.finish();
    let text = std::fs::read_to_string(&path).unwrap();
    let lines = texts(&text);
    assert_eq!(lines.last(), Some(&"after"));
    // Told where lines are missing, which is as often as the thread came to write meanwhile.
    let (whole, told): (Vec<&str>, Vec<&str>) = lines[..lines.len() - 1]
        .iter()
        .partition(|line| line.starts_with('x'));
    assert!(whole.iter().all(|it| it.len() == 1023));
    let dropped = 3_000 - whole.len();
    assert!(dropped > 0, "a MiB takes no 3 MB");
    let count = |line: &&str| {
        let words = line
            .strip_prefix("unikiln: log: ")
            .expect("what was dropped");
        let (lines, rest) = words.split_once(" lines (").expect("lines");
        let (bytes, _) = rest.split_once(" bytes) were dropped").expect("bytes");
        let (lines, bytes): (usize, usize) = (lines.parse().unwrap(), bytes.parse().unwrap());
        assert_eq!(bytes, lines * 1024);
        lines
    };
    assert_eq!(told.iter().map(count).sum::<usize>(), dropped);
}

#[test]
fn a_file_that_takes_nothing_stops_nobody_for_long() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fifo");
    mkfifoat(rustix::fs::CWD, &path, Mode::RWXU).unwrap();
    // A reader that does not read: the thread is stuck in its write once 64 KiB are in.
    let mut reader = File::options().read(true).write(true).open(&path).unwrap();
    let mut sink = QueuedSink::open(path).unwrap();
    let line = format!("{}\n", "y".repeat(10_000));
    let start = Instant::now();
    let mut longest = Duration::ZERO;
    for _ in 0..400 {
        let at = Instant::now();
        put(&mut sink, &line);
        longest = longest.max(at.elapsed());
    }
    // One wait of 0.9 s; the rest of the bound is for a machine that is busy.
    assert!(longest >= ROOM_WAIT, "{longest:?}: it was not full");
    assert!(start.elapsed() < Duration::from_secs(10));
    let Err(LogError::Stuck) = sink.reopener().reopen() else {
        panic!("it was opened anew while its thread is stuck");
    };
    // Whoever reads again gets all that was taken, and how much was not.
    let drain = std::thread::spawn(move || {
        let (mut text, mut bytes) = (Vec::new(), [0; 65536]);
        while !String::from_utf8_lossy(&text).contains("were dropped") {
            let count = reader.read(&mut bytes).unwrap();
            text.extend_from_slice(&bytes[..count]);
        }
        String::from_utf8(text).unwrap()
    });
    let text = drain.join().unwrap();
    let lines = texts(&text);
    let dropped = 400 - (lines.len() - 1);
    let told = lines.last().unwrap();
    assert!(
        told.starts_with(&format!("unikiln: log: {dropped} lines")),
        "{told}"
    );
}

#[test]
fn a_part_of_a_line_is_taken_back() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let lines = b"one\ntwo\nthree\n";
    for (written, whole) in [(0, 0), (2, 0), (4, 4), (10, 8), (14, 14)] {
        let log = open(file.path()).unwrap();
        log.set_len(0).unwrap();
        (&log).write_all(b"before\n").unwrap();
        (&log).write_all(&lines[..written]).unwrap();
        assert_eq!(take_back(&log, lines, written), whole);
        let left = std::fs::read(file.path()).unwrap();
        assert_eq!(left, [b"before\n", &lines[..whole]].concat());
    }
}

#[test]
fn a_missing_directory_keeps_the_old_file() {
    let directory = tempfile::tempdir().unwrap();
    let inner = directory.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let mut sink = QueuedSink::open(inner.join("0.log")).unwrap();
    put(&mut sink, "one\n");
    std::fs::rename(&inner, directory.path().join("moved")).unwrap();
    assert!(matches!(
        sink.reopener().reopen(),
        Err(LogError::Open { .. })
    ));
    put(&mut sink, "two\n");
    sink.finish();
    let text = std::fs::read_to_string(directory.path().join("moved/0.log")).unwrap();
    assert_eq!(texts(&text), ["one", "two"]);
}
