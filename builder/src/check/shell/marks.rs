//! What is no word of a command: comments, parentheses, patterns of `case`,
//! redirections and here-documents.

use super::{Reader, Word};

impl Reader<'_> {
    pub(super) fn skip_line(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest
            .iter()
            .position(|&byte| byte == b'\n')
            .unwrap_or(rest.len());
    }

    /// A function's `()`, `((…))`, or a subshell.
    pub(super) fn parenthesis(&mut self) {
        self.is_compound = true;
        let rest = &self.text[self.at + 1..];
        let closes = rest.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b')');
        if closes && self.raw.len() == 1 {
            self.functions.extend(self.raw.pop());
            self.words.clear();
            self.at += 1;
            while self.text.get(self.at).is_some_and(|&byte| byte != b')') {
                self.at += 1;
            }
            self.at += 1;
        } else if self.next_is(b"((") && self.raw.is_empty() {
            self.at = self.skip_to(b"))");
        } else {
            self.fork("a subshell");
            self.separator(1);
        }
    }

    /// Up to the `)` of a pattern, or `esac`.
    pub(super) fn pattern(&mut self) {
        let rest = &self.text[self.at..];
        if rest.starts_with(b"esac") {
            self.cases.pop();
            self.at += 4;
            return;
        }
        if let Some(pattern) = self.cases.last_mut() {
            *pattern = false;
        }
        // An optional `(` is passed over with the pattern.
        self.at = self.skip_to(b")");
    }

    pub(super) fn redirection(&mut self) {
        if self.next_is(b"<(") || self.next_is(b">(") {
            self.fork("a process as a file");
            self.at += 1;
            return;
        }
        let is_document = self.next_is(b"<<") && !self.next_is(b"<<<");
        while self
            .text
            .get(self.at)
            .is_some_and(|byte| b"<>&|-".contains(byte))
        {
            self.at += 1;
        }
        while self
            .text
            .get(self.at)
            .is_some_and(|byte| b" \t".contains(byte))
        {
            self.at += 1;
        }
        // The word names a file or the end of a document, it is none of the command's.
        let (word, raw) = self.read_word();
        if is_document {
            self.documents.push(match word {
                Word::Text(text) => text,
                _ => raw,
            });
        }
    }

    pub(super) fn skip_documents(&mut self) {
        for end in std::mem::take(&mut self.documents) {
            while self.at < self.text.len() {
                let start = self.at;
                self.skip_line();
                let line = self.text[start..self.at].trim_ascii();
                self.at = (self.at + 1).min(self.text.len());
                self.line += 1;
                if line == end.as_bytes() {
                    break;
                }
            }
        }
    }
}
