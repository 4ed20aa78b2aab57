//! How the arguments and the result of each call are shown, by number.
//!
//! A row is `number name [kinds] result`; a call without one shows six words.
//! A test holds the rows against the table of calls and the classes of filters.

use super::control::{
    ARCH_ARGUMENT, COMMAND, COMMAND_ARGUMENT, IOCTL_ARGUMENT, PRCTL_FIRST, PRCTL_LAST, PRCTL_REST,
    command_result,
};
use super::file::{
    ENTRIES, FD_PAIR, FILE_MODE, NODE_DEVICE, OFFSET, OPEN_HOW, STAT, STATFS, STATX, STATX_FLAGS,
    TIMESPECS, TIMEVALS, UTIMBUF,
};
use super::flags::file::{
    ACCESS, ADVICE, AT, AT_ACCESS, CLOSE_ON_EXEC, CLOSE_RANGE, EPOLL_CREATE, EPOLL_OPERATION,
    EVENT as EVENT_FLAGS, FALLOCATE, INOTIFY, INOTIFY_INIT, IOCTL, LOCK, MEMFD, OPEN, OPEN_MODE,
    PIPE, READ_WRITE, RENAME, SEEK, SIGNAL_FILE, SPLICE, STATX_MASK, SYNC_RANGE, TIMER_FILE, XATTR,
};
use super::flags::memory::{
    ADVICE as MEMORY_ADVICE, LOCK as MEMORY_LOCK, LOCK_ALL, MAP, NEW_ADDRESS, PROTECTION, REMAP,
    SYNC,
};
use super::flags::process::{
    ARCH, BARRIER, CLONE, INTERVAL_TIMER, LIMIT, MASK_HOW, PERSONALITY, POLICY, PRCTL, PRIORITY,
    RANDOM as RANDOM_FLAGS, TIMER, TIMER_FILE_SET, USAGE, WAIT, WAIT_ID,
};
use super::flags::socket::{FAMILY, MESSAGE as MESSAGE_FLAGS, SHUTDOWN};
use super::kind::Kind::{self, DirFd, Fd, Flags, OneOf, Path};
use super::kind::Show;
use super::number::{ADDRESS, DEVICE, HEX, HEX32, ID, INT, LONG, MODE, SIZE, UINT, UNUSED};
use super::poll::{
    EPOLL_EVENT, EPOLL_LIST, FD_SET, POLL_LIST, poll_result, ppoll_result, pselect_result,
    select_result,
};
use super::signal::{
    INFO, INFO_OUT, SET, SET_AND_SIZE, SET_OUT, SIGACTION, SIGACTION_OUT, SIGNAL, STACK, STACK_OUT,
    signal_result,
};
use super::socket::{
    ACCEPT_FLAGS, MESSAGE, MESSAGE_OUT, MESSAGES, MESSAGES_OUT, OPTION_VALUE, OPTION_VALUE_OUT,
    SOCKADDR, SOCKADDR_BYTES, SOCKADDR_OUT, SOCKET_LEVEL, SOCKET_OPTION, SOCKET_PROTOCOL,
    SOCKET_TYPE,
};
use super::system::{
    ATTRIBUTES, ATTRIBUTES_OUT, CAPABILITIES, CAPABILITIES_OUT, CAPABILITY_HEADER, CPUS, CPUS_OUT,
    GROUPS, GROUPS_OUT, ID_OUT, INT_BOTH, INT_OUT, PAGES, PARAM, PARAM_OUT, RLIMIT, RLIMIT_OUT,
    RUSAGE, SYSINFO, UTSNAME, policy_result,
};
use super::text::{
    BUFFER, ENVIRONMENT, FILLED, FILLED_VECTORS, RANDOM, RANGES, STRING, STRINGS, VALUE, VECTORS,
    WRITTEN,
};
use super::thread::{
    CLONE_ARGUMENTS, CLONE_CHILD, CLONE_FLAGS, CLONE_PARENT, CLONE_STACK, CLONE_TLS,
    FUTEX_OPERATION, FUTEX_SECOND, FUTEX_THIRD, FUTEX_TIMEOUT, FUTEX_VALUE, STATUS,
};
use super::time::{
    CLOCK_ID, EVENT, ITIMERSPEC, ITIMERSPEC_OUT, ITIMERVAL, ITIMERVAL_OUT, REMAINING, TIME,
    TIMER_ID, TIMESPEC, TIMESPEC_OUT, TIMEVAL, TIMEVAL_OUT, TIMEZONE, TMS,
};

/// How a result is shown.
#[derive(Clone, Copy)]
pub enum Shape {
    /// A number.
    Decimal,
    /// A new descriptor.
    Fd,
    /// An address.
    Hex,
    /// Permission bits.
    Octal,
    /// By a function that writes all of it.
    Special(Show),
}

/// One call.
pub struct Signature {
    /// Linux x86-64 number.
    pub number: u16,
    /// Linux's name.
    #[cfg(test)]
    pub name: &'static str,
    /// Arguments in the order in which they are shown.
    pub arguments: &'static [Kind],
    /// The result.
    pub result: Shape,
}

/// Any call without a row.
pub static UNKNOWN: Signature = Signature {
    number: u16::MAX,
    #[cfg(test)]
    name: "",
    arguments: &[HEX, HEX, HEX, HEX, HEX, HEX],
    result: Shape::Hex,
};

/// How a call is shown.
pub fn signature(number: u64) -> Option<&'static Signature> {
    let at = SIGNATURES
        .binary_search_by_key(&number, |signature| signature.number.into())
        .ok()?;
    SIGNATURES.get(at)
}

macro_rules! shape {
    () => {
        Shape::Decimal
    };
    (FD) => {
        Shape::Fd
    };
    (HEX) => {
        Shape::Hex
    };
    (OCTAL) => {
        Shape::Octal
    };
    ($show:ident) => {
        Shape::Special($show)
    };
}

macro_rules! signatures {
    ($({ $number:literal $name:ident [$($kind:expr),*] $($result:ident)? })*) => {
        /// All rows, by number.
        static SIGNATURES: &[Signature] = &[$(Signature {
            number: $number,
            #[cfg(test)]
            name: stringify!($name),
            arguments: &[$($kind),*],
            result: shape!($($result)?),
        }),*];
    };
}

include!("rows.rs");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syscall::table::ROWS;
    use unikiln_abi::strace::{class, name};

    #[test]
    fn rows_are_sorted_and_have_linux_names() {
        assert!(
            SIGNATURES
                .windows(2)
                .all(|pair| pair[0].number < pair[1].number)
        );
        for signature in SIGNATURES {
            assert_eq!(name(signature.number.into()), Some(signature.name));
        }
    }

    #[test]
    fn every_call_that_is_served_has_a_signature_of_its_length() {
        for row in ROWS {
            assert_eq!(name(row.number.into()), Some(row.name), "{}", row.number);
            let Some(signature) = signature(row.number.into()) else {
                assert!(row.handler.is_none(), "{} has no signature", row.name);
                continue;
            };
            assert_eq!(
                signature.arguments.len(),
                usize::from(row.arguments),
                "{}",
                row.name
            );
        }
    }

    #[test]
    fn classes_follow_from_signatures() {
        let is_in = |list: &str, name: &str| class(list).unwrap().contains(&name);
        for signature in SIGNATURES {
            let has = |wanted: fn(&Kind) -> bool| signature.arguments.iter().any(wanted);
            if has(|kind| matches!(kind, Path)) {
                assert!(is_in("file", signature.name), "{}", signature.name);
            }
            let descriptor = has(|kind| matches!(kind, Fd | DirFd));
            if descriptor || matches!(signature.result, Shape::Fd) {
                let named = is_in("desc", signature.name) || is_in("network", signature.name);
                assert!(named, "{}", signature.name);
            }
        }
    }
}
