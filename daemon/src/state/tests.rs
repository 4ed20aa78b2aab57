//! Records come back as they were, or are set aside by name.

use std::fs;
use std::time::{Duration, SystemTime};

use super::*;
use crate::cgroup::Cgroup;
use crate::proto::{PodSandboxConfig, PodSandboxMetadata};

const ID: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn record() -> SandboxRecord {
    SandboxRecord {
        id: ID.to_owned(),
        phase: SandboxPhase::Ready,
        handler: "unikiln".to_owned(),
        config: PodSandboxConfig {
            metadata: Some(PodSandboxMetadata {
                name: "web".to_owned(),
                ..PodSandboxMetadata::default()
            }),
            labels: [("app".to_owned(), "ü\n\"".to_owned())].into(),
            ..PodSandboxConfig::default()
        },
        created_at: SystemTime::UNIX_EPOCH + Duration::new(1_800_000_000, 7),
        boot_id: "boot".to_owned(),
        namespace: Some("/run/netns/a".into()),
        network: None,
        cgroup: Cgroup::default(),
    }
}

fn state_with_record() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("directory");
    let state = State::open(directory.path()).expect("state");
    state.create::<SandboxRecord>(ID).expect("directory");
    state.save(&record()).expect("saved");
    let path = state.directory::<SandboxRecord>(ID).join(RECORD);
    (directory, path)
}

fn load(root: &Path) -> Loaded<SandboxRecord> {
    State::open(root).expect("state").load().expect("loaded")
}

#[test]
fn a_record_comes_back_as_it_was() {
    let (directory, _) = state_with_record();
    let loaded = load(directory.path());
    assert_eq!(loaded.records, [record()]);
    assert!(loaded.damaged.is_empty() && loaded.bare.is_empty());
}

#[test]
fn the_same_record_has_the_same_bytes() {
    let encode = || record::encode(&record()).expect("encoded");
    assert_eq!(encode(), encode());
}

#[test]
fn every_flipped_bit_is_seen() {
    let (_directory, path) = state_with_record();
    let whole = fs::read(path).expect("record");
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            let decoded = record::decode::<SandboxRecord>(&bytes);
            assert!(decoded.is_err(), "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn every_cut_is_seen() {
    let (_directory, path) = state_with_record();
    let whole = fs::read(path).expect("record");
    for end in 0..whole.len() {
        let decoded = record::decode::<SandboxRecord>(&whole[..end]);
        assert!(decoded.is_err(), "{end} bytes");
    }
}

#[test]
fn a_damaged_record_is_set_aside_with_all_that_lies_beside_it() {
    let (directory, path) = state_with_record();
    fs::write(path.with_file_name("hosts"), "kept").expect("written");
    fs::write(&path, "unikiln 1 sandbox 00000000\n{}\n").expect("written");
    let loaded = load(directory.path());
    assert!(loaded.records.is_empty());
    let [damaged] = &loaded.damaged[..] else {
        panic!("{:?}", loaded.damaged);
    };
    assert_eq!((damaged.kind, damaged.id.as_str()), ("sandbox", ID));
    assert!(matches!(damaged.error, RecordError::Checksum));
    let state = State::open(directory.path()).expect("state");
    let aside = state.set_aside::<SandboxRecord>(ID).expect("set aside");
    drop(state);
    let kept = fs::read_to_string(aside.join("hosts"));
    assert_eq!(kept.expect("set aside"), "kept");
    // It is found once.
    assert!(load(directory.path()).damaged.is_empty());
}

#[test]
fn records_of_other_versions_kinds_and_ids_are_named() {
    let (directory, path) = state_with_record();
    let whole = fs::read_to_string(&path).expect("record");
    let state = State::open(directory.path()).expect("state");
    let read = |text: &str| {
        fs::write(&path, text).expect("written");
        state.read::<SandboxRecord>(ID).expect_err("refused")
    };
    let version = read(&whole.replacen("unikiln 1", "unikiln 2", 1));
    assert!(matches!(version, RecordError::Version { version: 2 }));
    let kind = read(&whole.replacen("sandbox", "container", 1));
    assert!(matches!(kind, RecordError::Kind { .. }));
    let mut other = record();
    other.id = "ff".repeat(32);
    let bytes = record::encode(&other).expect("encoded");
    let error = read(&String::from_utf8(bytes).expect("text"));
    assert!(matches!(error, RecordError::OtherId { .. }));
    let body = "{\"id\":1}";
    let header = format!("unikiln 1 sandbox {:08x}", crc32fast::hash(body.as_bytes()));
    assert!(matches!(
        read(&format!("{header}\n{body}\n")),
        RecordError::Json(_)
    ));
    assert!(matches!(read(""), RecordError::Header));
}

#[test]
fn a_directory_without_a_record_is_bare() {
    let (directory, path) = state_with_record();
    fs::rename(&path, path.with_file_name(RECORD_NEW)).expect("renamed");
    assert_eq!(load(directory.path()).bare, [ID]);
}

#[test]
fn removing_twice_is_fine() {
    let (directory, path) = state_with_record();
    let state = State::open(directory.path()).expect("state");
    state.remove::<SandboxRecord>(ID).expect("removed");
    state.remove::<SandboxRecord>(ID).expect("removed");
    assert!(!path.exists());
}

#[test]
fn what_a_killed_daemon_left_is_waited_for() {
    let directory = tempfile::tempdir().expect("directory");
    let first = State::open(directory.path()).expect("state");
    let ends = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(100));
        drop(first);
    });
    State::open(directory.path()).expect("the lock went away");
    ends.join().expect("thread");
}

#[test]
fn there_is_one_daemon() {
    let directory = tempfile::tempdir().expect("directory");
    let first = State::open(directory.path()).expect("state");
    let second = State::open(directory.path()).expect_err("in use");
    assert!(matches!(second, StateError::InUse { .. }));
    drop(first);
    State::open(directory.path()).expect("free again");
}

#[test]
fn others_cannot_look_in() {
    let (directory, path) = state_with_record();
    for place in [directory.path(), path.parent().expect("a directory")] {
        let mode = fs::metadata(place).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{}", place.display());
    }
}
