//! CRI log files, read as strictly as the format is written down: `TIME STREAM TAG TEXT`, with
//! the tag P for a part that the next line of the same stream goes on with, F for the last.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// One line as a program wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `stdout` or `stderr`.
    pub stream: String,
    /// All of its parts.
    pub text: String,
    /// How many parts it has.
    pub parts: usize,
}

/// The longest line of the file that is allowed: 16 KiB of text, and what is in front of it.
pub const LINE_BYTES_MAX: usize = 16 * 1024 + 64;

/// All whole lines of a log; what a program is writing just now is left out.
pub fn read(path: &Path) -> Vec<Entry> {
    parse(&fs::read_to_string(path).expect("a log in UTF-8"))
}

/// The same of several files in their order, as rotation leaves them.
pub fn read_all(paths: &[&Path]) -> Vec<Entry> {
    let texts = paths
        .iter()
        .map(|path| fs::read_to_string(path).expect("a log in UTF-8"));
    parse(&texts.collect::<String>())
}

fn parse(text: &str) -> Vec<Entry> {
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    let mut entries = Vec::new();
    let mut open: BTreeMap<&str, (String, usize)> = BTreeMap::new();
    for line in text[..whole].lines() {
        assert!(
            line.len() <= LINE_BYTES_MAX,
            "a line of {} bytes",
            line.len()
        );
        let mut words = line.splitn(4, ' ');
        let [time, stream, tag] = [(); 3].map(|()| words.next().unwrap_or_default());
        let text = words.next();
        assert!(is_time(time), "no time in front of {line:?}");
        assert!(
            ["stdout", "stderr"].contains(&stream),
            "no stream in {line:?}"
        );
        let text = text.unwrap_or_else(|| panic!("no text in {line:?}"));
        let (so_far, parts) = open.entry(stream).or_default();
        so_far.push_str(text);
        *parts += 1;
        match tag {
            "P" => {}
            "F" => {
                let (text, parts) = open.remove(stream).unwrap_or_default();
                let stream = stream.to_owned();
                entries.push(Entry {
                    stream,
                    text,
                    parts,
                });
            }
            _ => panic!("tag {tag:?} in {line:?}"),
        }
    }
    entries
}

/// RFC 3339 with nanoseconds: `2026-11-26T04:38:36.123456789Z` or an offset in place of the Z.
fn is_time(word: &str) -> bool {
    let Some((date, rest)) = word.split_once('T') else {
        return false;
    };
    let digits = |text: &str, shape: &str| {
        text.len() == shape.len()
            && text
                .bytes()
                .zip(shape.bytes())
                .all(|(byte, shape)| match shape {
                    b'0' => byte.is_ascii_digit(),
                    other => byte == other,
                })
    };
    let zone = rest.find(['Z', '+', '-']);
    let Some((time, zone)) = zone.map(|at| rest.split_at(at)) else {
        return false;
    };
    digits(date, "0000-00-00")
        && digits(time, "00:00:00.000000000")
        && (zone == "Z" || digits(&zone[1..], "00:00"))
}
