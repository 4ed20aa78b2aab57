//! What went through a pod's interfaces, read in its network namespace.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::proto::{NetworkInterfaceUsage, NetworkUsage, UInt64Value};

/// What CNI calls a pod's first interface.
const DEFAULT_INTERFACE: &str = "eth0";

/// `/proc/net` is that of the process's first thread; this is the thread's own.
const COUNTERS: &str = "/proc/thread-self/net/dev";

/// Why they cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The thread that would enter the namespace.
    #[error("start a thread to read {} in", namespace.display())]
    Thread {
        /// The namespace.
        namespace: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The namespace is gone or is none.
    #[error("enter the network namespace {}", namespace.display())]
    Enter {
        /// Its file.
        namespace: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The counters.
    #[error("read {COUNTERS}")]
    Read(#[source] io::Error),
    /// The counters are not what the kernel writes.
    #[error("{COUNTERS} line {line}: {problem}")]
    Malformed {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
}

/// Counters of an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// What came in.
    pub received: Traffic,
    /// What went out.
    pub sent: Traffic,
}

/// One direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
    /// Damaged ones.
    pub errors: u64,
    /// Good ones that there was no room for.
    pub dropped: u64,
}

/// Reads the interfaces of a namespace, the one called `lo` left out; none: this process's.
pub fn interfaces(namespace: Option<&Path>) -> Result<Vec<Interface>, NetworkError> {
    let Some(namespace) = namespace else {
        return parse(&fs::read_to_string(COUNTERS).map_err(NetworkError::Read)?);
    };
    // The thread is in the namespace to its end, so it is a new one.
    let namespace = namespace.to_owned();
    let place = namespace.clone();
    let reader = thread::Builder::new()
        .name("netns".to_owned())
        .spawn(move || {
            let entered = fs::File::open(&place).and_then(|file| {
                use std::os::fd::AsFd;
                let kind = Some(LinkNameSpaceType::Network);
                Ok(move_into_link_name_space(file.as_fd(), kind)?)
            });
            entered.map_err(|source| NetworkError::Enter {
                namespace: place,
                source,
            })?;
            fs::read_to_string(COUNTERS).map_err(NetworkError::Read)
        });
    let thread_failed = |source| NetworkError::Thread { namespace, source };
    match reader {
        Err(source) => Err(thread_failed(source)),
        Ok(reader) => match reader.join() {
            Ok(text) => parse(&text?),
            Err(_) => Err(thread_failed(io::Error::other("it panicked"))),
        },
    }
}

/// As CRI has it. `eth0` is the default interface, or the first one.
pub fn usage(interfaces: &[Interface], timestamp_ns: i64) -> NetworkUsage {
    let mut default_interface = None;
    let mut others = Vec::new();
    let named = interfaces
        .iter()
        .position(|one| one.name == DEFAULT_INTERFACE);
    for (index, interface) in interfaces.iter().enumerate() {
        let value = |value| Some(UInt64Value { value });
        let usage = NetworkInterfaceUsage {
            name: interface.name.clone(),
            rx_bytes: value(interface.received.bytes),
            rx_errors: value(interface.received.errors),
            tx_bytes: value(interface.sent.bytes),
            tx_errors: value(interface.sent.errors),
        };
        if index == named.unwrap_or(0) {
            default_interface = Some(usage);
        } else {
            others.push(usage);
        }
    }
    NetworkUsage {
        timestamp: timestamp_ns,
        default_interface,
        interfaces: others,
    }
}

/// Two lines of headings, then `NAME: ` and 8 numbers for each direction.
fn parse(text: &str) -> Result<Vec<Interface>, NetworkError> {
    let mut interfaces = Vec::new();
    for (line, content) in (1..).zip(text.lines()).skip(2) {
        let malformed = |problem: String| NetworkError::Malformed { line, problem };
        // A name may have a colon, a number has none.
        let (name, numbers) = content
            .rsplit_once(':')
            .ok_or_else(|| malformed(format!("{content:?} is no `NAME: NUMBERS`")))?;
        let numbers: Vec<u64> = numbers
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map_err(|_| malformed(format!("{numbers:?} are no numbers")))?;
        let [bytes, packets, errors, dropped, _, _, _, _, sent @ ..] = numbers.as_slice() else {
            return Err(malformed(format!("it has {} numbers", numbers.len())));
        };
        let [sent_bytes, sent_packets, sent_errors, sent_dropped, ..] = sent else {
            return Err(malformed(format!("it has {} numbers", numbers.len())));
        };
        let name = name.trim();
        if name == "lo" {
            continue;
        }
        interfaces.push(Interface {
            name: name.to_owned(),
            received: Traffic {
                bytes: *bytes,
                packets: *packets,
                errors: *errors,
                dropped: *dropped,
            },
            sent: Traffic {
                bytes: *sent_bytes,
                packets: *sent_packets,
                errors: *sent_errors,
                dropped: *sent_dropped,
            },
        });
    }
    Ok(interfaces)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEV: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 202585287652 154326069    0    0    0     0          0         0 202585287652 154326069    0  125    0     0       0          0
  net1:       1       2    3    4    0     0          0         0        5       6    7    8    0     0       0          0
  eth0: 4495064460  112906    9    1    0     0          0         0  6555926   69772    2    3    0     0       0          0
";

    #[test]
    fn counters_of_a_namespace() {
        let interfaces = parse(DEV).unwrap();
        let names: Vec<_> = interfaces.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["net1", "eth0"]);
        let eth0 = &interfaces[1];
        let received = Traffic {
            bytes: 4_495_064_460,
            packets: 112_906,
            errors: 9,
            dropped: 1,
        };
        let sent = Traffic {
            bytes: 6_555_926,
            packets: 69_772,
            errors: 2,
            dropped: 3,
        };
        assert_eq!((eth0.received, eth0.sent), (received, sent));

        let usage = usage(&interfaces, 7);
        let default = usage.default_interface.unwrap();
        assert_eq!((default.name.as_str(), usage.timestamp), ("eth0", 7));
        assert_eq!(default.tx_errors.unwrap().value, 2);
        assert_eq!(usage.interfaces.len(), 1);
    }

    #[test]
    fn the_first_interface_stands_in_for_eth0() {
        let interfaces = parse(&DEV.replace("eth0", "a:b0")).unwrap();
        assert_eq!(interfaces[1].name, "a:b0");
        let usage = usage(&interfaces, 0);
        assert_eq!(usage.default_interface.unwrap().name, "net1");
        assert_eq!(
            super::usage(&[], 3),
            NetworkUsage {
                timestamp: 3,
                ..Default::default()
            }
        );
    }

    #[test]
    fn damaged_counters_name_the_line() {
        for (line, expected) in [
            ("eth0 1 2", "line 3: \"eth0 1 2\" is no `NAME: NUMBERS`"),
            ("eth0: 1 2", "line 3: it has 2 numbers"),
            ("eth0: 1 2 3 4 5 6 7 8 9", "line 3: it has 9 numbers"),
            ("eth0: 1 x", "line 3: \" 1 x\" are no numbers"),
        ] {
            let error = parse(&format!("a\nb\n{line}\n")).unwrap_err().to_string();
            assert!(error.ends_with(expected), "{error}");
        }
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn another_namespace_is_read_and_left() {
        use std::io::{BufRead, BufReader, Write};
        use std::process::{Command, Stdio};

        let test = "another_namespace_is_read_and_left";
        let script = "echo in; read end";
        let child = Command::new("unshare")
            .args(["--net", "sh", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut line = String::new();
        if let Ok(mut child) = child {
            BufReader::new(child.stdout.take().unwrap())
                .read_line(&mut line)
                .unwrap();
            let namespace = format!("/proc/{}/ns/net", child.id());
            let inside = interfaces(Some(Path::new(&namespace)));
            let counters = fs::read_to_string(format!("/proc/{}/net/dev", child.id()));
            // Its shell ends at the end of its input.
            drop(child.stdin.take());
            child.wait().unwrap();
            if line == "in\n" {
                assert_eq!(inside.unwrap(), parse(&counters.unwrap()).unwrap());
                let names = |list: Vec<Interface>| list.into_iter().map(|one| one.name);
                let here = fs::read_dir("/sys/class/net").unwrap().flatten().count();
                assert_eq!(
                    names(interfaces(None).unwrap()).count() + 1,
                    here,
                    "lo is left out"
                );
                return;
            }
        }
        let strict = std::env::var("CI").is_ok_and(|value| value == "true")
            || std::env::var("UNIKILN_NO_SKIP").is_ok_and(|value| value == "1");
        let line = format!("SKIPPED: {test}: no right to make a network namespace\n");
        assert!(!strict, "{line}no skips are allowed here");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }

    #[test]
    fn namespaces() {
        // Every process may read its own.
        interfaces(None).unwrap();
        let gone = interfaces(Some(Path::new("/run/netns/none"))).unwrap_err();
        assert!(matches!(gone, NetworkError::Enter { .. }), "{gone}");
        let no_namespace = interfaces(Some(Path::new("/proc/self/stat"))).unwrap_err();
        assert!(
            matches!(no_namespace, NetworkError::Enter { .. }),
            "{no_namespace}"
        );
    }
}
