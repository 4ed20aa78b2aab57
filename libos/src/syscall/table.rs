//! The system-call table: one row for each call of Linux on x86-64.
//!
//! A row is `number name arguments handler state;` with state `Full`,
//! `Partial("what is missing")` or, without a handler, `Stub(ERRNO, "why")`.
//! Rows are sorted by number. The rows give dispatch, names in logs and the
//! coverage table in the docs.

use super::Handler;
use crate::errno::{Errno, SysResult};

/// How much of a call is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// All that a program can tell.
    Full,
    /// Something is missing.
    Partial(&'static str),
    /// Refused, and why.
    Stub(Errno, &'static str),
}

/// One call.
#[derive(Clone, Copy)]
pub struct Row {
    /// Linux x86-64 number.
    pub number: u16,
    /// Linux's name.
    pub name: &'static str,
    /// Arguments that it takes.
    pub arguments: u8,
    /// Who serves it; none for a stub.
    pub handler: Option<Handler>,
    /// How much is there.
    pub state: State,
}

/// Numbers below this are looked up without a search.
const NUMBERS: usize = 512;

macro_rules! state {
    (Full) => {
        State::Full
    };
    (Partial($what:literal)) => {
        State::Partial($what)
    };
}

macro_rules! row {
    ($number:literal $name:ident $arguments:literal Stub($errno:ident, $why:literal)) => {
        Row {
            number: $number,
            name: stringify!($name),
            arguments: $arguments,
            handler: None,
            state: State::Stub(Errno::$errno, $why),
        }
    };
    ($number:literal $name:ident $arguments:literal $handler:path, $state:ident $(($what:literal))?) => {
        Row {
            number: $number,
            name: stringify!($name),
            arguments: $arguments,
            handler: Some($handler),
            state: state!($state $(($what))?),
        }
    };
}

macro_rules! table {
    ($({ $($row:tt)* })*) => {
        /// All rows, by number.
        pub static ROWS: &[Row] = &[$(row!($($row)*)),*];
    };
}

include!("rows.rs");

/// Row index + 1 by number; 0 where there is none.
static INDEX: [u16; NUMBERS] = {
    let mut index = [0; NUMBERS];
    let mut at = 0;
    while at < ROWS.len() {
        index[ROWS[at].number as usize] = at as u16 + 1;
        at += 1;
    }
    index
};

/// The row of a number.
pub fn row(number: u64) -> Option<&'static Row> {
    let index = *INDEX.get(usize::try_from(number).ok()?)?;
    ROWS.get(usize::from(index).checked_sub(1)?)
}

/// Serves a call by its number.
///
/// # Errors
/// What the call says; ENOSYS, counted, where there is no call.
pub fn call(number: u64, args: &[u64; 6]) -> SysResult {
    match row(number) {
        Some(Row {
            handler: Some(handler),
            ..
        }) => handler(args),
        Some(Row {
            state: State::Stub(errno, _),
            ..
        }) => {
            if *errno == Errno::ENOSYS {
                crate::stats::note_unsupported(number);
            }
            Err(*errno)
        }
        _ => {
            crate::stats::note_unsupported(number);
            Err(Errno::ENOSYS)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_and_unique() {
        assert!(ROWS.windows(2).all(|pair| pair[0].number < pair[1].number));
    }

    /// The coverage table as it stands in `libos/SYSCALLS.md`.
    fn coverage() -> String {
        let count = |full: bool| {
            let is = |row: &&Row| match row.state {
                State::Full => full,
                State::Partial(_) => !full,
                State::Stub(..) => false,
            };
            ROWS.iter().filter(is).count()
        };
        let (full, partial) = (count(true), count(false));
        let mut text = format!(
            "# System calls\n\n\
             Made from the table in `src/syscall/rows.rs` by its tests (`UPDATE_DOCS=1 cargo test \
             -p unikiln-libos --lib coverage`).\n\n\
             {full} full, {partial} partial, {} refused with a reason. A call without a row \
             returns ENOSYS and is counted in the exit statistics.\n\n\
             | number | call | state |\n|---|---|---|\n",
            ROWS.len() - full - partial
        );
        for row in ROWS {
            let state = match row.state {
                State::Full => "full".to_owned(),
                State::Partial(what) => format!("partial: {what}"),
                State::Stub(errno, why) => format!("{}: {why}", errno.name()),
            };
            text += &format!("| {} | {} | {state} |\n", row.number, row.name);
        }
        text
    }

    #[test]
    fn coverage_table_in_the_docs_is_this_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/SYSCALLS.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, coverage()).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(path).unwrap_or_default(),
            coverage()
        );
    }

    #[test]
    fn a_missing_call_is_enosys() {
        assert_eq!(call(u64::MAX, &[0; 6]), Err(Errno::ENOSYS));
    }

    /// `tests/guests/wild_pointers.c` gives wild pointers to each call, or says
    /// why it does not.
    #[test]
    fn every_call_gets_wild_pointers() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/guests/wild_pointers.c"
        );
        let text = std::fs::read_to_string(path).unwrap();
        let reasons: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("// no"))
            .filter_map(|line| line.split_once(": "))
            .flat_map(|(_, names)| names.split([' ', ',', ':']))
            .collect();
        let missing: Vec<&str> = ROWS
            .iter()
            .filter(|row| row.handler.is_some())
            .map(|row| row.name)
            .filter(|name| !text.contains(&format!("C({name}, ")) && !reasons.contains(name))
            .collect();
        assert!(missing.is_empty(), "not tried: {missing:?}");
    }

    /// `tests/guests/fuzz_syscalls.c` makes each call, but those that end it, and vfork,
    /// whose child would return on its parent's stack.
    #[test]
    fn every_call_is_made_at_random() {
        const ENDS: [&str; 4] = ["exit", "exit_group", "rt_sigreturn", "vfork"];
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/guests/fuzz_syscalls.c"
        );
        let text = std::fs::read_to_string(path).unwrap();
        let is_made = |name: &str| {
            text.contains(&format!("C({name}, ")) || text.contains(&format!("{{\"{name}\", "))
        };
        let missing: Vec<&str> = ROWS
            .iter()
            .filter(|row| row.handler.is_some())
            .map(|row| row.name)
            .filter(|name| !is_made(name) && !ENDS.contains(name))
            .collect();
        assert!(missing.is_empty(), "not made: {missing:?}");
    }
}
