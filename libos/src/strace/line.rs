//! A line from its parts: arguments as they become known, then the result.

use core::fmt::Write;

use alloc::borrow::ToOwned;

use super::kind::{Call, Kind};
use super::output::Output;
use super::signatures::{Signature, UNKNOWN, signature};
use super::{number, result};
use crate::errno::SysResult;
use unikiln_abi::strace;

/// One argument.
enum Part {
    /// Not known before the call is over; what it is before, where that counts.
    Later(Output),
    /// Known; empty where the call does not look at it.
    Known(Output),
}

/// The line of a call that is being served.
pub struct Line {
    number: u64,
    args: [u64; 6],
    signature: &'static Signature,
    parts: [Part; 6],
    start_ns: u64,
    /// Arguments that the first part of a split line showed; none for a whole line.
    split_at: Option<usize>,
}

impl Line {
    /// Describes what can be told before the call.
    pub fn begin(number: u64, args: &[u64; 6], start_ns: u64) -> Line {
        let signature = signature(number).unwrap_or(&UNKNOWN);
        let call = Call { args, result: None };
        let parts = core::array::from_fn(|at| match signature.arguments.get(at) {
            Some(kind) if kind.is_early() => Part::Known(shown(kind, &call, at)),
            Some(kind @ Kind::Changed(_)) => Part::Later(shown(kind, &call, at)),
            Some(_) => Part::Later(Output::new()),
            None => Part::Known(Output::new()),
        });
        Line {
            number,
            args: *args,
            signature,
            parts,
            start_ns,
            split_at: None,
        }
    }

    /// The same with parts that the caller knows.
    pub fn begin_with(number: u64, texts: &[Output], start_ns: u64) -> Line {
        Line {
            number,
            args: [0; 6],
            signature: signature(number).unwrap_or(&UNKNOWN),
            parts: core::array::from_fn(|at| {
                Part::Known(texts.get(at).cloned().unwrap_or_default())
            }),
            start_ns,
            split_at: None,
        }
    }

    /// The first part of the line, once.
    pub fn split(&mut self) -> Option<Output> {
        if self.split_at.is_some() {
            return None;
        }
        let early = self
            .parts
            .iter()
            .position(|part| matches!(part, Part::Later(_)));
        let mut text = Output::new();
        self.write_name(&mut text);
        text.push('(');
        let all = early.is_none();
        let shown = early.unwrap_or(self.parts.len());
        self.write_parts(&mut text, 0..shown);
        text.push_str(if all {
            " <unfinished ...>"
        } else if text.ends_with('(') {
            "<unfinished ...>"
        } else {
            ", <unfinished ...>"
        });
        self.split_at = Some(shown);
        Some(text)
    }

    /// The line of a call that does not return.
    pub fn end_without_result(self) -> Output {
        let mut text = self.arguments();
        text.push_str(" = ?");
        text
    }

    /// The line, or its second part, after the call.
    pub fn end(mut self, result: SysResult, now_ns: u64) -> Output {
        let call = Call {
            args: &self.args,
            result: Some(result),
        };
        for (at, part) in self.parts.iter_mut().enumerate() {
            if let (Part::Later(before), Some(kind)) = (&part, self.signature.arguments.get(at)) {
                *part = Part::Known(changed(before, shown(kind, &call, at)));
            }
        }
        let mut text = self.arguments();
        text.push_str(" = ");
        result::show(&mut text, self.number, self.signature, &call);
        let elapsed_us = now_ns.saturating_sub(self.start_ns) / 1000;
        let (seconds, micros) = (elapsed_us / 1_000_000, elapsed_us % 1_000_000);
        let _ = write!(text, " <{seconds}.{micros:06}>");
        text
    }

    fn arguments(&self) -> Output {
        let mut text = Output::new();
        if let Some(first) = self.split_at {
            text.push_str("<... ");
            self.write_name(&mut text);
            text.push_str(" resumed>");
            self.write_parts(&mut text, first..self.parts.len());
        } else {
            self.write_name(&mut text);
            text.push('(');
            self.write_parts(&mut text, 0..self.parts.len());
        }
        text.push(')');
        text
    }

    fn write_parts(&self, text: &mut Output, range: core::ops::Range<usize>) {
        let mut first = true;
        for part in self.parts.get(range).unwrap_or_default() {
            let Part::Known(part) = part else { continue };
            if part.is_empty() {
                continue;
            }
            if !first {
                text.push_str(", ");
            }
            text.push_str(part);
            first = false;
        }
    }

    fn write_name(&self, text: &mut Output) {
        match strace::name(self.number) {
            Some(name) => text.push_str(name),
            None => {
                text.push_str("syscall_");
                number::hex(text, self.number);
            }
        }
    }
}

fn shown(kind: &Kind, call: &Call<'_>, at: usize) -> Output {
    let mut text = Output::new();
    kind.show(&mut text, call, at);
    text
}

/// `[1 => 2]` of `[1]` and `[2]`; the latter alone where there is nothing to compare.
fn changed(before: &str, after: Output) -> Output {
    let inner = |text: &str| Some(text.strip_prefix('[')?.strip_suffix(']')?.to_owned());
    match (inner(before), inner(&after)) {
        (Some(old), Some(new)) if old != new => {
            let mut text = Output::new();
            let _ = write!(text, "[{old} => {new}]");
            text
        }
        _ => after,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errno::Errno;

    /// 0x6800_0000_0000 is the libOS's: program memory never.
    const WILD: u64 = 0x6800_0000_1000;

    fn line(number: u64, args: &[u64], result: SysResult) -> String {
        let mut words = [0; 6];
        words[..args.len()].copy_from_slice(args);
        let text = Line::begin(number, &words, 5_000).end(result, 17_000);
        text.strip_suffix(" <0.000012>").unwrap().to_owned()
    }

    fn address<T>(value: &T) -> u64 {
        core::ptr::from_ref(value).expose_provenance() as u64
    }

    #[test]
    fn a_path_flags_and_an_error_have_names() {
        let path = *b"/etc/ld.so.cache\0";
        let args = [-100i64 as u64, address(&path), 0o2_000_000, 0];
        assert_eq!(
            line(257, &args, Ok(3)),
            "openat(AT_FDCWD, \"/etc/ld.so.cache\", O_RDONLY|O_CLOEXEC) = 3"
        );
        assert_eq!(
            line(2, &[address(&path), 0o1101, 0o644], Err(Errno::ENOENT)),
            "open(\"/etc/ld.so.cache\", O_WRONLY|O_CREAT|O_TRUNC, 0644) = -1 ENOENT (No such file or directory)"
        );
    }

    #[test]
    fn a_buffer_is_shown_after_the_call() {
        let buffer = *b"\x7fELF\x02\x01\x01\0";
        let args = [3, address(&buffer), 832];
        assert_eq!(
            line(0, &args, Ok(8)),
            r#"read(3, "\177ELF\2\1\1\0", 832) = 8"#
        );
        assert_eq!(line(0, &args, Ok(0)), "read(3, \"\", 832) = 0");
        assert_eq!(
            line(0, &[3, 0, 832], Err(Errno::EFAULT)),
            "read(3, NULL, 832) = -1 EFAULT (Bad address)"
        );
    }

    #[test]
    fn wild_pointers_are_numbers() {
        let wild = "0x680000001000";
        for (number, args, shown) in [
            (
                257,
                [WILD, WILD, 0],
                format!("openat(4096, {wild}, O_RDONLY)"),
            ),
            (1, [1, WILD, 10], format!("write(1, {wild}, 10)")),
            (20, [1, WILD, 2], format!("writev(1, {wild}, 2)")),
            (
                59,
                [WILD, WILD, WILD],
                format!("execve({wild}, {wild}, {wild})"),
            ),
            (7, [WILD, 3, 0], format!("poll({wild}, 3, 0)")),
            (35, [WILD, WILD, 0], format!("nanosleep({wild}, {wild})")),
        ] {
            let text = line(number, &args, Err(Errno::EFAULT));
            assert_eq!(text, format!("{shown} = -1 EFAULT (Bad address)"));
        }
        // A call that went well with a pointer that has gone since.
        let text = line(5, &[3, WILD], Ok(0));
        assert_eq!(text, format!("fstat(3, {wild}) = 0"));
    }

    #[test]
    fn calls_without_a_signature_show_six_words() {
        assert_eq!(
            line(500, &[1, 2, 3, 4, 5, 0], Err(Errno::ENOSYS)),
            "syscall_0x1f4(0x1, 0x2, 0x3, 0x4, 0x5, 0) = -1 ENOSYS (Function not implemented)"
        );
    }

    #[test]
    fn a_call_that_blocks_has_two_parts() {
        let buffer = *b"ab";
        let mut words = [0; 6];
        words[1] = address(&buffer);
        words[2] = 10;
        let mut read = Line::begin(0, &words, 0);
        assert_eq!(read.split().as_deref(), Some("read(0, <unfinished ...>"));
        assert!(read.split().is_none());
        assert_eq!(
            read.end(Ok(2), 1_500_000_000),
            "<... read resumed>\"ab\", 10) = 2 <1.500000>"
        );
        let mut pause = Line::begin(34, &[0; 6], 0);
        assert_eq!(pause.split().as_deref(), Some("pause( <unfinished ...>"));
        assert_eq!(
            pause.end(Err(Errno::EINTR), 0),
            "<... pause resumed>) = -1 EINTR (Interrupted system call) <0.000000>"
        );
    }

    #[test]
    fn an_interrupted_call_that_may_start_again_says_so() {
        assert_eq!(
            line(0, &[5, WILD, 10], Err(Errno::EINTR)),
            "read(5, 0x680000001000, 10) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)"
        );
        assert_eq!(
            line(35, &[WILD, 0], Err(Errno::EINTR)),
            "nanosleep(0x680000001000, NULL) = -1 EINTR (Interrupted system call)"
        );
    }

    #[test]
    fn what_a_call_changes_is_shown_twice() {
        let mut room = 110u32;
        let name = *b"\x01\0";
        let args = [
            5,
            address(&name),
            core::ptr::from_mut(&mut room).expose_provenance() as u64,
        ];
        let mut words = [0; 6];
        words[..3].copy_from_slice(&args);
        let accept = Line::begin(43, &words, 0);
        crate::mm::user::write(args[2], &2u32).unwrap();
        assert_eq!(
            accept.end(Ok(6), 0),
            "accept(5, {sa_family=AF_UNIX}, [110 => 2]) = 6 <0.000000>"
        );
        assert_eq!(room, 2);
    }

    #[test]
    fn a_call_without_return_has_a_question_mark() {
        let exit = Line::begin(231, &[3, 0, 0, 0, 0, 0], 0);
        assert_eq!(exit.end_without_result(), "exit_group(3) = ?");
    }
}
