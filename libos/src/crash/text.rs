//! Text of bounded length that never fails: what does not fit is cut off.

use alloc::string::String;
use core::fmt;

/// Said where the rest is missing.
const CUT: &str = "\n[the record was cut off here]\n";

/// A text under construction.
#[derive(Default)]
pub(super) struct Text {
    text: String,
    max_bytes: usize,
    is_cut: bool,
}

impl Text {
    /// Up to `max_bytes`, the mark of a cut included.
    pub(super) const fn new(max_bytes: usize) -> Text {
        Text {
            text: String::new(),
            max_bytes,
            is_cut: false,
        }
    }

    /// Appends bytes of a file name or the like; control characters become `?`.
    pub(super) fn push_lossy(&mut self, bytes: &[u8]) {
        for chunk in bytes.utf8_chunks() {
            for character in chunk.valid().chars() {
                let shown = if character.is_control() {
                    '?'
                } else {
                    character
                };
                self.push(shown.encode_utf8(&mut [0; 4]));
            }
            if !chunk.invalid().is_empty() {
                self.push("?");
            }
        }
    }

    fn push(&mut self, part: &str) {
        if self.is_cut {
            return;
        }
        let room = self.max_bytes.saturating_sub(CUT.len() + self.text.len());
        let mut len = part.len().min(room);
        while !part.is_char_boundary(len) {
            len -= 1;
        }
        // Out of memory is a reason for a record, so it must not end it.
        if self.text.try_reserve(len + CUT.len()).is_err() {
            self.is_cut = true;
            return;
        }
        self.text.push_str(part.get(..len).unwrap_or_default());
        if len < part.len() {
            self.is_cut = true;
            self.text.push_str(CUT);
        }
    }

    /// What was written.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// The same, as the heap text that the monitor can be pointed at.
    pub(super) fn as_string(&self) -> &String {
        &self.text
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        self.push(part);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::fmt::Write;

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        let mut text = Text::new(CUT.len() + 6);
        write!(text, "abc").unwrap();
        write!(text, "ääää").unwrap();
        write!(text, "never").unwrap();
        assert_eq!(text.as_str(), alloc::format!("abcä{CUT}"));
    }

    #[test]
    fn names_are_made_printable() {
        let mut text = Text::new(1000);
        text.push_lossy(b"/tmp/a\nb\xff\xc3\xa4");
        assert_eq!(text.as_str(), "/tmp/a?b?ä");
    }
}
