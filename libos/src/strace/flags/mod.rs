//! Names of flags and of numbers that choose something.
//!
//! | file | whose |
//! |---|---|
//! | `file.rs` | open files and paths |
//! | `memory.rs` | mappings |
//! | `process.rs` | processes, threads, signals, time, limits |
//! | `socket.rs` | sockets |

pub mod file;
pub mod memory;
pub mod process;
pub mod socket;

use super::number;
use crate::strace::output::Output;

/// Values of one argument, in the order in which they are written.
pub struct Names {
    /// Value and name.
    pub names: &'static [(u64, &'static str)],
    /// What stands for a value without a name.
    pub unknown: &'static str,
}

impl Names {
    /// The name of a value that is exactly this one.
    pub fn name(&self, value: u64) -> Option<&'static str> {
        let same = |known: u64| known == value || known as u32 == value as u32 && value >> 32 == 0;
        self.names
            .iter()
            .find(|(known, _)| same(*known))
            .map(|(_, name)| *name)
    }

    /// Shows a choice.
    pub fn one_of(&self, out: &mut Output, word: u64) {
        // An `int`: its upper half is not looked at.
        let value = u64::from(word as u32);
        match self.name(value) {
            Some(name) => out.push_str(name),
            None => self.nameless(out, value),
        }
    }

    /// Shows a set of bits.
    pub fn flags(&self, out: &mut Output, word: u64) {
        if let Some(name) = self.names.iter().find(|(known, _)| *known == word) {
            return out.push_str(name.1);
        }
        if word == 0 {
            return out.push('0');
        }
        let mut left = word;
        let mut first = true;
        for (bits, name) in self.names {
            if *bits == 0 || left & bits != *bits {
                continue;
            }
            if !first {
                out.push('|');
            }
            out.push_str(name);
            first = false;
            left &= !bits;
        }
        if first {
            self.nameless(out, word);
        } else if left != 0 {
            out.push('|');
            number::hex(out, left);
        }
    }

    fn nameless(&self, out: &mut Output, value: u64) {
        number::hex(out, value);
        out.push_str(" /* ");
        out.push_str(self.unknown);
        out.push_str(" */");
    }
}

/// `NAME "unknown": constants;` for constants of one module.
macro_rules! names {
    ($module:path { $($table:ident $unknown:literal: $($constant:ident)*;)* }) => {
        $(
            #[doc = $unknown]
            pub static $table: $crate::strace::flags::Names = {
                use $module as constants;
                $crate::strace::flags::Names {
                    names: &[$((constants::$constant as u64, stringify!($constant))),*],
                    unknown: $unknown,
                }
            };
        )*
    };
}

/// `NAME "unknown": (value NAME)…;` where there are no constants.
macro_rules! numbered {
    ($($table:ident $unknown:literal: $($value:literal $name:ident)*;)*) => {
        $(
            #[doc = $unknown]
            pub static $table: $crate::strace::flags::Names = $crate::strace::flags::Names {
                names: &[$(($value, stringify!($name))),*],
                unknown: $unknown,
            };
        )*
    };
}

pub(crate) use {names, numbered};

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(names: &Names, word: u64) -> Output {
        let mut out = Output::new();
        names.flags(&mut out, word);
        out
    }

    fn one_of(names: &Names, word: u64) -> Output {
        let mut out = Output::new();
        names.one_of(&mut out, word);
        out
    }

    #[test]
    fn bits_are_joined_and_the_rest_is_a_number() {
        assert_eq!(flags(&memory::PROTECTION, 3), "PROT_READ|PROT_WRITE");
        assert_eq!(flags(&memory::PROTECTION, 0), "PROT_NONE");
        assert_eq!(flags(&memory::PROTECTION, 0x41), "PROT_READ|0x40");
        assert_eq!(flags(&memory::PROTECTION, 0x40), "0x40 /* PROT_??? */");
        assert_eq!(flags(&file::AT, 0), "0");
        assert_eq!(
            flags(&memory::MAP, 0x4022),
            "MAP_PRIVATE|MAP_ANONYMOUS|MAP_NORESERVE"
        );
        assert_eq!(flags(&memory::MAP, 3), "MAP_SHARED_VALIDATE");
    }

    #[test]
    fn choices_are_looked_up_as_ints() {
        assert_eq!(one_of(&file::SEEK, 2), "SEEK_END");
        assert_eq!(one_of(&file::SEEK, 1 << 32), "SEEK_SET");
        assert_eq!(one_of(&file::SEEK, 77), "0x4d /* SEEK_??? */");
    }
}
