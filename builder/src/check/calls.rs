//! What the libOS has of each system call, and what functions of the C library
//! come down to.
//!
//! The states are the libOS's own: the same file of rows that gives it its
//! dispatch is compiled here without the handlers.

use unikiln_abi::strace;

/// How much of a call is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Full,
    Partial(&'static str),
    /// The errno's name, and why.
    Stub(&'static str, &'static str),
}

/// One row of the libOS's table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    number: u64,
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "compared with the docs by a test")
    )]
    name: &'static str,
    state: State,
}

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
            state: State::Stub(stringify!($errno), $why),
        }
    };
    ($number:literal $name:ident $arguments:literal $handler:path, $state:ident $(($what:literal))?) => {
        Row {
            number: $number,
            name: stringify!($name),
            state: state!($state $(($what))?),
        }
    };
}

macro_rules! table {
    ($({ $($row:tt)* })*) => {
        static ROWS: &[Row] = &[$(row!($($row)*)),*];
    };
}

include!("../../../libos/src/syscall/rows.rs");

/// What the libOS has of a call; ENOSYS where it has no row.
pub(super) fn state(number: u64) -> State {
    match ROWS.binary_search_by_key(&number, |row| row.number) {
        Ok(at) => ROWS[at].state,
        Err(_) => State::Stub("ENOSYS", "it is not there"),
    }
}

/// Name of a call for people.
pub(super) fn name(number: u64) -> String {
    strace::name(number).map_or_else(|| number.to_string(), str::to_owned)
}

/// Functions that make a process. Not daemon(3): a program in a container is asked to stay.
const FORKS: [&str; 9] = [
    "fork",
    "_Fork",
    "__fork",
    "vfork",
    "__vfork",
    "__libc_fork",
    "posix_spawn",
    "posix_spawnp",
    "forkpty",
];

/// Functions that have a shell run a command: what a program does when it is told to.
const COMMANDS: [&str; 2] = ["popen", "system"];

/// Functions of the C library whose call has another name.
const FUNCTIONS: [(&str, &str); 14] = [
    ("mq_send", "mq_timedsend"),
    ("mq_receive", "mq_timedreceive"),
    ("mq_setattr", "mq_getsetattr"),
    ("mq_getattr", "mq_getsetattr"),
    ("fexecve", "execveat"),
    ("umount", "umount2"),
    ("wait3", "wait4"),
    ("waitpid", "wait4"),
    ("klogctl", "syslog"),
    ("io_queue_init", "io_setup"),
    ("io_uring_queue_init", "io_uring_setup"),
    ("io_uring_queue_init_params", "io_uring_setup"),
    ("pthread_setschedparam", "sched_setscheduler"),
    ("pthread_setaffinity_np", "sched_setaffinity"),
];

/// Missing calls that programs try and do without: on older kernels and in
/// containers they are missing as well.
const OPTIONAL: [&str; 42] = [
    "add_key",
    "bpf",
    "cachestat",
    "execveat",
    "fanotify_init",
    "futex_requeue",
    "futex_wait",
    "futex_waitv",
    "futex_wake",
    "get_mempolicy",
    "getxattrat",
    "io_cancel",
    "io_destroy",
    "io_getevents",
    "io_pgetevents",
    "io_setup",
    "io_submit",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "ioprio_get",
    "ioprio_set",
    "keyctl",
    "landlock_add_rule",
    "landlock_create_ruleset",
    "landlock_restrict_self",
    "listmount",
    "map_shadow_stack",
    "mbind",
    "memfd_secret",
    "migrate_pages",
    "move_pages",
    "perf_event_open",
    "process_madvise",
    "process_mrelease",
    "request_key",
    "rseq",
    "set_mempolicy",
    "set_mempolicy_home_node",
    "setxattrat",
    "statmount",
    "userfaultfd",
];

/// Refused calls that the one who makes them is there for.
const ESSENTIAL: [&str; 1] = ["ptrace"];

/// Whether a function makes a process.
pub(super) fn makes_process(function: &[u8]) -> bool {
    FORKS.iter().any(|name| name.as_bytes() == function)
}

/// Whether a function has a shell run a command.
pub(super) fn runs_command(function: &[u8]) -> bool {
    COMMANDS.iter().any(|name| name.as_bytes() == function)
}

/// The call that a function of the C library comes down to, where that is
/// clear from its name.
pub(super) fn of_function(function: &[u8]) -> Option<u64> {
    let function = std::str::from_utf8(function).ok()?;
    let other = FUNCTIONS.iter().find(|(name, _)| *name == function);
    strace::number(other.map_or(function, |(_, call)| call))
}

/// Whether a program that makes this call, which the libOS does not serve, may
/// fail for it.
pub(super) fn may_fail(number: u64) -> bool {
    let is_in = |list: &[&str]| strace::name(number).is_some_and(|name| list.contains(&name));
    match state(number) {
        State::Stub("ENOSYS", _) => !is_in(&OPTIONAL),
        State::Stub(..) => is_in(&ESSENTIAL),
        State::Full | State::Partial(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `libos/SYSCALLS.md` is made by the libOS from its own table.
    #[test]
    fn the_states_are_those_of_the_libos() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../libos/SYSCALLS.md");
        let text = std::fs::read_to_string(path).unwrap();
        let is_row = |line: &&str| line.starts_with("| ") && !line.starts_with("| number");
        let lines: Vec<&str> = text.lines().filter(is_row).collect();
        let rows: Vec<String> = ROWS
            .iter()
            .map(|row| {
                let state = match row.state {
                    State::Full => "full".to_owned(),
                    State::Partial(what) => format!("partial: {what}"),
                    State::Stub(errno, why) => format!("{errno}: {why}"),
                };
                format!("| {} | {} | {state} |", row.number, row.name)
            })
            .collect();
        assert_eq!(lines, rows);
        assert!(rows.len() > 300);
    }

    #[test]
    fn lists_name_calls_that_are_not_served() {
        for name in OPTIONAL.iter().chain(&ESSENTIAL) {
            let number = strace::number(name).expect(name);
            assert!(matches!(state(number), State::Stub(..)), "{name}");
        }
        for (_, name) in FUNCTIONS {
            assert!(strace::number(name).is_some(), "{name}");
        }
        assert!(OPTIONAL.is_sorted());
    }

    #[test]
    fn calls_weigh_by_what_their_callers_do_without_them() {
        let weighs = |name: &str| may_fail(strace::number(name).expect(name));
        assert!(weighs("mq_open") && weighs("ptrace"));
        assert!(
            !weighs("read") && !weighs("ioctl") && !weighs("mount") && !weighs("io_uring_setup")
        );
        assert!(may_fail(999));
        assert_eq!(of_function(b"mq_send"), strace::number("mq_timedsend"));
        assert_eq!(of_function(b"printf"), None);
        assert!(makes_process(b"vfork") && !makes_process(b"system"));
        assert!(runs_command(b"system") && !runs_command(b"fork"));
    }
}
