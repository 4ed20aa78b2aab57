//! The analysis on programs that the compiler of this machine makes, and on
//! files that are broken in every way.

mod broken;
mod compiled;

use super::CODES;

/// `builder/CHECK.md` explains each kind of finding, and no other.
#[test]
fn findings_are_explained() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/CHECK.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, table) = text.split_once("## Findings").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let explained: Vec<&str> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(code, _)| code)
        .collect();
    assert_eq!(explained, CODES);
}
