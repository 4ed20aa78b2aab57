//! Text that grows. Its functions are never inlined: describing is no fast path,
//! and there are thousands of places that append a word.

use core::fmt;
use core::ops::Deref;

use alloc::string::String;

/// See the module documentation.
#[derive(Clone, Default)]
pub struct Output(String);

impl Output {
    /// Nothing yet.
    pub const fn new() -> Output {
        Output(String::new())
    }

    /// Appends a word.
    #[inline(never)]
    pub fn push_str(&mut self, word: &str) {
        self.0.push_str(word);
    }

    /// Appends a character.
    #[inline(never)]
    pub fn push(&mut self, character: char) {
        self.0.push(character);
    }

    /// Appends a comma, unless a list has just begun.
    #[inline(never)]
    pub fn separate(&mut self) {
        if !self.0.ends_with('[') {
            self.0.push_str(", ");
        }
    }

    /// Drops what comes after the first `len_bytes`.
    pub fn truncate(&mut self, len_bytes: usize) {
        self.0.truncate(len_bytes);
    }
}

impl From<&str> for Output {
    #[inline(never)]
    fn from(text: &str) -> Output {
        Output(text.into())
    }
}

impl Deref for Output {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Write for Output {
    fn write_str(&mut self, word: &str) -> fmt::Result {
        self.push_str(word);
        Ok(())
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<T: AsRef<str> + ?Sized> PartialEq<T> for Output {
    fn eq(&self, other: &T) -> bool {
        self.0 == other.as_ref()
    }
}
