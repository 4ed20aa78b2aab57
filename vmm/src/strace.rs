//! The filter of `--strace`: words as strace's `trace=` has them, as the set of
//! calls that the boot information carries.
//!
//! Names come from [`unikiln_abi::strace`], so a wrong one is an error before
//! anything boots. Words are separated by commas: names, `%` classes, `all`,
//! `none`; `!` in front of them all turns the set round.

use unikiln_abi::strace::{CLASSES, CallSet, NAMES, class, number};

/// Names that an error offers.
const OFFERED_MAX: usize = 3;

/// Why a filter was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// A word that is no call's name.
    #[error("--strace: {word:?} is no system call{}", offer(nearest))]
    Name {
        /// As given.
        word: String,
        /// Calls with a name like it.
        nearest: Vec<&'static str>,
    },
    /// A word with `%` that is no class.
    #[error(
        "--strace: {word:?} is no class of system calls; the classes are {}",
        class_names()
    )]
    Class {
        /// As given.
        word: String,
    },
    /// Two commas, or nothing at all.
    #[error(
        "--strace: a name is missing in {filter:?}; write names with commas between, or --strace alone for all calls"
    )]
    Empty {
        /// The whole filter.
        filter: String,
    },
}

fn offer(nearest: &[&str]) -> String {
    if nearest.is_empty() {
        String::new()
    } else {
        format!("; did you mean {}?", nearest.join(" or "))
    }
}

fn class_names() -> String {
    let names: Vec<String> = CLASSES.iter().map(|(name, _)| format!("%{name}")).collect();
    names.join(", ")
}

/// The calls that a filter names.
pub fn parse(filter: &str) -> Result<CallSet, FilterError> {
    let (words, negated) = match filter.strip_prefix('!') {
        Some(words) => (words, true),
        None => (filter, false),
    };
    let mut set = CallSet::NONE;
    for word in words.split(',') {
        match word {
            "" => {
                return Err(FilterError::Empty {
                    filter: filter.to_owned(),
                });
            }
            "all" => set = CallSet::ALL,
            "none" => {}
            _ => add(&mut set, word)?,
        }
    }
    Ok(if negated { set.complement() } else { set })
}

fn add(set: &mut CallSet, word: &str) -> Result<(), FilterError> {
    let Some(name) = word.strip_prefix('%') else {
        let number = number(word).ok_or_else(|| FilterError::Name {
            word: word.to_owned(),
            nearest: nearest(word),
        })?;
        set.add(number);
        return Ok(());
    };
    let calls = class(name).ok_or_else(|| FilterError::Class {
        word: word.to_owned(),
    })?;
    // A name in a class is a call's: a test of the contract says so.
    calls
        .iter()
        .filter_map(|call| number(call))
        .for_each(|call| set.add(call));
    Ok(())
}

/// Calls whose name is like `word`: few letters differ, or one holds the other.
fn nearest(word: &str) -> Vec<&'static str> {
    let mut found: Vec<(usize, &'static str)> = NAMES
        .iter()
        .filter(|name| !name.is_empty())
        .filter_map(|&name| {
            let distance = distance(word.as_bytes(), name.as_bytes());
            let close = distance <= 1.max(word.len() / 3);
            let holds = word.len() >= 3 && (name.contains(word) || word.contains(name));
            (close || holds).then_some((distance, name))
        })
        .collect();
    found.sort();
    found.truncate(OFFERED_MAX);
    found.into_iter().map(|(_, name)| name).collect()
}

/// Letters to add, drop or change to make one word of the other (Levenshtein).
fn distance(from: &[u8], to: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, a) in from.iter().enumerate() {
        let mut next = vec![line + 1];
        let mut left = line + 1;
        for (pair, b) in row.windows(2).zip(to) {
            let &[diagonal, above] = pair else { continue };
            let change = diagonal + usize::from(a != b);
            left = change.min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(from.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(filter: &str, call: &str) -> bool {
        parse(filter).unwrap().has(number(call).unwrap())
    }

    #[test]
    fn names_and_classes_add_up() {
        assert!(has("read,write", "read") && has("read,write", "write"));
        assert!(!has("read,write", "close"));
        assert!(has("%file,futex", "openat") && has("%file,futex", "futex"));
        assert!(!has("%file,futex", "read"));
        assert_eq!(parse("all"), Ok(CallSet::ALL));
        assert_eq!(parse("none"), Ok(CallSet::NONE));
    }

    #[test]
    fn an_exclamation_mark_turns_the_set_round() {
        assert!(!has("!futex,%memory", "futex") && !has("!futex,%memory", "mmap"));
        assert!(has("!futex,%memory", "read"));
        assert!(parse("!read").unwrap().has(u64::MAX));
        assert_eq!(parse("!none"), Ok(CallSet::ALL));
    }

    #[test]
    fn unknown_names_bring_the_nearest_known_ones() {
        let message = |filter| parse(filter).unwrap_err().to_string();
        assert!(
            message("opnat").contains("did you mean openat"),
            "{}",
            message("opnat")
        );
        assert!(message("read,exitgroup").contains("exit_group"));
        assert!(message("fstatat").contains("newfstatat"));
        assert!(!message("zzzzzzzz").contains("did you mean"));
        assert!(message("%files").contains("%file, %desc, %memory"));
        for empty in ["", "!", "read,", ",read", "read,,write"] {
            assert!(message(empty).contains("missing"), "{empty}");
        }
        assert!(parse("read, write").is_err());
    }

    #[test]
    fn distances() {
        for (from, to, letters) in [("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3)] {
            assert_eq!(distance(from.as_bytes(), to.as_bytes()), letters);
        }
    }
}
