//! The ways in which one argument can be shown.

use super::flags::Names;
use super::number;
use super::output::Output;
use crate::errno::SysResult;

/// A call as far as it has come.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// Argument words.
    pub args: &'a [u64; 6],
    /// What it gave; none before it returned.
    pub result: Option<SysResult>,
}

impl Call<'_> {
    /// An argument word; 0 where there are fewer.
    pub fn arg(&self, at: usize) -> u64 {
        self.args.get(at).copied().unwrap_or(0)
    }

    /// The value of a call that succeeded.
    pub fn value(&self) -> Option<usize> {
        self.result.and_then(Result::ok)
    }
}

/// Writes an argument; writes nothing where the call does not look at it.
pub type Show = fn(&mut Output, &Call<'_>, usize);

/// How an argument is shown, and when.
#[derive(Clone, Copy)]
pub enum Kind {
    /// A file descriptor.
    Fd,
    /// A directory's descriptor, or AT_FDCWD.
    DirFd,
    /// The address of a path.
    Path,
    /// Bits with names.
    Flags(&'static Names),
    /// A number with a name.
    OneOf(&'static Names),
    /// Something that the call reads: shown before it.
    In(Show),
    /// The address of something that the call writes: shown after it, as an
    /// address where it failed.
    Out(Show),
    /// Something that is shown after the call, however it ended.
    Late(Show),
    /// `[something]` that the call may change: before, and after it.
    Changed(Show),
}

impl Kind {
    /// Whether it is shown before the call.
    pub const fn is_early(&self) -> bool {
        !matches!(self, Kind::Out(_) | Kind::Late(_) | Kind::Changed(_))
    }

    /// Shows argument `at`.
    pub fn show(&self, out: &mut Output, call: &Call<'_>, at: usize) {
        let word = call.arg(at);
        match self {
            Kind::Fd => number::int(out, call, at),
            Kind::DirFd => number::directory(out, word),
            Kind::Path => super::text::path(out, word),
            Kind::Flags(names) => names.flags(out, word),
            Kind::OneOf(names) => names.one_of(out, word),
            Kind::In(show) | Kind::Late(show) | Kind::Changed(show) => show(out, call, at),
            Kind::Out(show) if call.value().is_some() && word != 0 => show(out, call, at),
            Kind::Out(_) => number::address(out, word),
        }
    }
}
