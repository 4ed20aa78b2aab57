//! The driver against a bus in this process: it checks the handshake, keeps what it was asked,
//! and answers as systemd's manager does.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use super::*;
use crate::cgroup::wire::{self, FIXED_BYTES, Message};

/// What the manager does with the calls that make jobs.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    Willing,
    /// The first start finds a unit of that name.
    Occupied,
    /// There is no such unit.
    Empty,
    /// The job fails.
    Failing,
    /// Nothing is answered.
    Silent,
    /// The handshake is refused.
    Closed,
    /// It answers with something else.
    Garbled,
}

/// Methods and their bodies.
type Calls = Mutex<Vec<(String, Vec<u8>)>>;

struct Bus {
    _directory: tempfile::TempDir,
    systemd: Systemd,
    calls: Arc<Calls>,
}

impl Bus {
    fn new(mood: Mood) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("bus");
        let listener = UnixListener::bind(&socket).unwrap();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&calls);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away ends its conversation.
                let _ = converse(stream, mood, &kept);
            }
        });
        let systemd = Systemd {
            socket,
            timeout: Duration::from_secs(if mood == Mood::Silent { 1 } else { 60 }),
            holders: Mutex::new(Vec::new()),
        };
        Self {
            _directory: directory,
            systemd,
            calls,
        }
    }

    /// The methods of systemd that were called.
    fn methods(&self) -> Vec<String> {
        let calls = self.calls.lock().unwrap();
        let names = calls.iter().map(|(member, _)| member.clone());
        let bus = ["Hello", "AddMatch", "Subscribe"];
        names.filter(|name| !bus.contains(&name.as_str())).collect()
    }

    fn body(&self, method: &str) -> Vec<u8> {
        let calls = self.calls.lock().unwrap();
        let call = calls.iter().rev().find(|(member, _)| member == method);
        call.unwrap().1.clone()
    }
}

fn converse(stream: UnixStream, mood: Mood, calls: &Calls) -> std::io::Result<()> {
    let mut output = stream.try_clone()?;
    let mut input = BufReader::new(stream);
    let mut line = Vec::new();
    input.read_until(b'\n', &mut line)?;
    let uid = rustix::process::geteuid().as_raw().to_string();
    let hex: String = uid.bytes().map(|digit| format!("{digit:02x}")).collect();
    assert_eq!(line, format!("\0AUTH EXTERNAL {hex}\r\n").as_bytes());
    if mood == Mood::Closed {
        return output.write_all(b"REJECTED KERBEROS_V4\r\n");
    }
    output.write_all(b"OK 0123456789abcdef0123456789abcdef\r\n")?;
    line.clear();
    input.read_until(b'\n', &mut line)?;
    assert_eq!(line, b"BEGIN\r\n");
    loop {
        let mut fixed = [0; FIXED_BYTES];
        input.read_exact(&mut fixed)?;
        let (fields, body) = wire::rest_bytes(&fixed).unwrap();
        let (mut fields, mut body) = (vec![0; fields], vec![0; body]);
        input.read_exact(&mut fields)?;
        input.read_exact(&mut body)?;
        let call = Message::parse(&fixed, &fields, body).unwrap();
        let seen = {
            let mut calls = calls.lock().unwrap();
            calls.push((call.member.clone(), call.body.clone()));
            calls
                .iter()
                .filter(|(member, _)| *member == call.member)
                .count()
        };
        let is_job = matches!(call.member.as_str(), "StartTransientUnit" | "StopUnit");
        let refusal = match (mood, call.member.as_str(), seen) {
            (Mood::Occupied, "StartTransientUnit", 1) => Some("UnitExists"),
            (Mood::Empty, "StopUnit" | "SetUnitProperties" | "ResetFailedUnit", _) => {
                Some("NoSuchUnit")
            }
            _ => None,
        };
        if mood == Mood::Silent && call.member != "Hello" {
            continue;
        }
        if mood == Mood::Garbled {
            return output.write_all(&[b'l'; 64]);
        }
        if let Some(name) = refusal {
            let name = format!("org.freedesktop.systemd1.{name}");
            let fields = [(4, "s", name.as_str()), (8, "g", "s")];
            output.write_all(&message(3, Some(call.serial), &fields, &texts(&["no"])))?;
            continue;
        }
        if !is_job {
            output.write_all(&message(2, Some(call.serial), &[], &[]))?;
            continue;
        }
        let result = if mood == Mood::Failing {
            "failed"
        } else {
            "done"
        };
        let fields = [(3, "s", "JobRemoved"), (8, "g", "uoss")];
        let end = |job: &str, result: &str| {
            let mut body = 7_u32.to_le_bytes().to_vec();
            body.extend(texts(&[job, "x.scope", result]));
            message(4, None, &fields, &body)
        };
        // Another job's end, one that is about nothing, the answer, then its end.
        output.write_all(&end("/job/6", "failed"))?;
        output.write_all(&message(
            4,
            None,
            &[(3, "s", "NameAcquired"), (8, "g", "s")],
            &texts(&[":1"]),
        ))?;
        output.write_all(&message(
            2,
            Some(call.serial),
            &[(8, "g", "o")],
            &texts(&["/job/7"]),
        ))?;
        output.write_all(&end("/job/7", result))?;
    }
}

/// Texts one after the other, from an offset that is a multiple of 4.
fn texts(texts: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for text in texts {
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend((text.len() as u32).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes.push(0);
    }
    bytes
}

/// A message, encoded apart from the code that is tested.
fn message(kind: u8, reply_to: Option<u32>, fields: &[(u8, &str, &str)], body: &[u8]) -> Vec<u8> {
    let mut list: Vec<u8> = Vec::new();
    if let Some(serial) = reply_to {
        list.extend([5, 1, b'u', 0]);
        list.extend(serial.to_le_bytes());
    }
    for (code, signature, text) in fields {
        list.resize(list.len().next_multiple_of(8), 0);
        list.extend([*code, 1, signature.as_bytes()[0], 0]);
        match *signature {
            "g" => list.push(text.len() as u8),
            _ => list.extend((text.len() as u32).to_le_bytes()),
        }
        list.extend(text.as_bytes());
        list.push(0);
    }
    let mut bytes = vec![b'l', kind, 0, 1];
    bytes.extend((body.len() as u32).to_le_bytes());
    bytes.extend(3_u32.to_le_bytes());
    bytes.extend((list.len() as u32).to_le_bytes());
    bytes.extend(list);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes.extend(body);
    bytes
}

fn has(body: &[u8], text: &str) -> bool {
    body.windows(text.len())
        .any(|window| window == text.as_bytes())
}

#[test]
fn a_slice_is_started_once() {
    let bus = Bus::new(Mood::Willing);
    bus.systemd.start_slice("unikiln-ab.slice").unwrap();
    assert_eq!(bus.methods(), ["StartTransientUnit"]);
    let body = bus.body("StartTransientUnit");
    for text in [
        "unikiln-ab.slice",
        "replace",
        "MemoryAccounting",
        "TasksAccounting",
    ] {
        assert!(has(&body, text), "{text}");
    }
    assert!(has(&bus.body("AddMatch"), "JobRemoved"));

    let there = Bus::new(Mood::Occupied);
    there.systemd.start_slice("unikiln-ab.slice").unwrap();
    assert_eq!(there.methods(), ["StartTransientUnit"]);
}

#[test]
fn a_scope_has_a_holder_and_its_limits() {
    let bus = Bus::new(Mood::Willing);
    let limits = vec![("CPUWeight", Value::U64(59))];
    let holder = bus
        .systemd
        .start_scope("unikiln-ab.scope", "/a.slice/a-b.slice", limits)
        .unwrap();
    let body = bus.body("StartTransientUnit");
    for text in [
        "unikiln-ab.scope",
        "Delegate",
        "CPUWeight",
        "Slice",
        "a-b.slice",
        "PIDs",
    ] {
        assert!(has(&body, text), "{text}");
    }
    assert_eq!(holder, bus.systemd.holders()[0].id());
    let is_named = |window: &[u8]| window == holder.to_le_bytes();
    assert!(body.windows(4).any(is_named));
    // Its words are there a moment after it has become another program.
    let name = || fs::read(format!("/proc/{holder}/cmdline")).unwrap();
    let started = Instant::now();
    while name().is_empty() && started.elapsed() < Duration::from_secs(10) {
        thread::sleep(Duration::from_millis(5));
    }
    assert!(name().starts_with(HOLDER.as_bytes()));

    bus.systemd.end_holder(holder);
    let is_gone = || {
        bus.systemd.reap_holders();
        bus.systemd.holders().is_empty()
    };
    for _ in 0..2000 {
        if is_gone() {
            break;
        }
        thread::sleep(Duration::from_millis(5));
    }
    assert!(is_gone());
}

#[test]
fn a_failed_scope_of_the_same_name_is_cleared() {
    let bus = Bus::new(Mood::Occupied);
    bus.systemd
        .start_scope("unikiln-ab.scope", "", Vec::new())
        .unwrap();
    assert_eq!(
        bus.methods(),
        [
            "StartTransientUnit",
            "ResetFailedUnit",
            "StartTransientUnit"
        ]
    );
    let holder = bus.systemd.holders()[0].id();
    bus.systemd.end_holder(holder);
}

#[test]
fn stopping_what_is_gone_is_no_error() {
    let bus = Bus::new(Mood::Empty);
    bus.systemd.stop("unikiln-ab.scope").unwrap();
    let error = bus
        .systemd
        .set("unikiln-ab.scope", &[("CPUWeight", Value::U64(1))])
        .unwrap_err();
    assert!(matches!(
        error,
        CgroupError::Systemd {
            source: BusError::Remote { .. },
            ..
        }
    ));
    bus.systemd.set("unikiln-ab.scope", &[]).unwrap();
    assert_eq!(bus.methods(), ["StopUnit", "SetUnitProperties"]);

    let bus = Bus::new(Mood::Willing);
    bus.systemd.stop("unikiln-ab.scope").unwrap();
    assert_eq!(bus.methods(), ["StopUnit", "ResetFailedUnit"]);
}

#[test]
fn what_goes_wrong_is_said() {
    let source = |mood| {
        let bus = Bus::new(mood);
        let error = bus
            .systemd
            .start_scope("unikiln-ab.scope", "/a.slice", Vec::new())
            .unwrap_err();
        let mut left = bus.systemd.holders();
        left.iter_mut().for_each(|child| drop(child.wait()));
        let CgroupError::Systemd { source, unit, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(unit, "unikiln-ab.scope");
        source.to_string()
    };
    assert!(source(Mood::Failing).starts_with("its job ended with \"failed\""));
    assert_eq!(source(Mood::Silent), "no answer within 1s");
    assert_eq!(
        source(Mood::Closed),
        "the bus refuses this user: REJECTED KERBEROS_V4"
    );
    assert!(source(Mood::Garbled).starts_with("a malformed message"));

    let error = Systemd::open(Path::new("/nowhere/bus")).unwrap_err();
    let CgroupError::Systemd { source, .. } = error else {
        panic!("{error}");
    };
    assert!(source.to_string().contains("/nowhere/bus"), "{source}");
}

#[test]
fn a_scope_has_its_containers_weight() {
    let limits = Limits {
        cpu_shares: Some(512),
        cpu_period_us: Some(50_000),
        ..Limits::default()
    };
    assert_eq!(properties(&limits, true), [("CPUWeight", Value::U64(59))]);
    assert_eq!(properties(&limits, false), [("CPUShares", Value::U64(512))]);
    assert!(properties(&Limits::default(), true).is_empty());
}
