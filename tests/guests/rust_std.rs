//! rust_std: a Rust program over std: arguments, environment, maps, files, time, a caught panic.
//! build: rust
//! args: one|two words
//! env: GUEST_COLOUR=blue

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::time::{Duration, Instant, SystemTime};
use std::{env, fs, panic, process};

fn main() {
    let args: Vec<String> = env::args().skip(1).collect();
    assert_eq!(args, ["one", "two words"]);
    assert_eq!(env::var("GUEST_COLOUR").as_deref(), Ok("blue"));
    assert!(env::current_exe().is_ok_and(|path| path.is_absolute()));

    // The hasher's seed comes from getrandom.
    let squares: HashMap<u64, u64> = (0..10_000).map(|n| (n, n * n)).collect();
    assert_eq!(squares[&99], 9801);
    let sorted: BTreeMap<_, _> = squares.iter().collect();
    assert_eq!(sorted.len(), 10_000);

    let dir = env::temp_dir().join(format!("guest-{}", process::id()));
    fs::create_dir_all(dir.join("a/b")).unwrap();
    let path = dir.join("a/b/file");
    let mut file = fs::File::options().create(true).read(true).write(true).truncate(true).open(&path).unwrap();
    for n in 0..1000 {
        writeln!(file, "line {n}").unwrap();
    }
    file.seek(SeekFrom::Start(0)).unwrap();
    assert_eq!(BufReader::new(&file).lines().count(), 1000);
    fs::copy(&path, dir.join("copy")).unwrap();
    fs::rename(dir.join("copy"), dir.join("renamed")).unwrap();
    assert_eq!(fs::metadata(dir.join("renamed")).unwrap().len(), fs::metadata(&path).unwrap().len());
    let mut names: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["a", "renamed"]);
    let missing = fs::File::open("/absent").unwrap_err();
    assert_eq!(missing.kind(), std::io::ErrorKind::NotFound);
    fs::remove_dir_all(&dir).unwrap();

    let start = Instant::now();
    std::thread::sleep(Duration::from_millis(20));
    assert!(start.elapsed() >= Duration::from_millis(20));
    assert!(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() > 1_700_000_000);

    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input).unwrap();
    assert_eq!(input, "");

    panic::set_hook(Box::new(|_| ()));
    let caught = panic::catch_unwind(|| -> u32 { panic!("unwinds through frames") });
    assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"unwinds through frames"));
    println!("ok rust_std");
}
