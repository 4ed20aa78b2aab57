//! What is left of a path while it is walked.

use super::node::Target;

/// A path that is walked.
pub(super) enum Text<'a> {
    /// What the caller gave.
    Given(&'a [u8]),
    /// What a symlink holds.
    Link(Target),
}

/// What is left of a path.
pub(super) struct Rest<'a> {
    text: Text<'a>,
    /// Bytes of it that are done.
    pub(super) done: usize,
}

impl<'a> Rest<'a> {
    /// All of it.
    pub(super) fn of(text: Text<'a>) -> Rest<'a> {
        Rest { text, done: 0 }
    }

    /// The whole path.
    #[inline]
    pub(super) fn whole(&self) -> &[u8] {
        match &self.text {
            Text::Given(path) => path,
            Text::Link(target) => target.path().unwrap_or(&[]),
        }
    }

    /// From the next component on.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        trim_slashes(self.whole().get(self.done..).unwrap_or(&[]))
    }
}

/// `path` without its leading slashes.
#[inline]
pub(super) fn trim_slashes(path: &[u8]) -> &[u8] {
    let slashes = path.iter().take_while(|&&byte| byte == b'/').count();
    path.get(slashes..).unwrap_or(&[])
}
