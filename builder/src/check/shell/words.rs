//! Words of a script: quotes, and what the shell puts into them.

use super::{Reader, Word};

impl Reader<'_> {
    /// One word as the shell joins it, and as it is written.
    pub(super) fn read_word(&mut self) -> (Word, String) {
        let start = self.at;
        let mut text = Vec::new();
        let mut is_known = true;
        while let Some(&byte) = self.text.get(self.at) {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'&' | b'|' | b'(' | b')' | b'<' | b'>' => {
                    break;
                }
                b'\'' => {
                    self.at += 1;
                    let from = self.at;
                    self.at = self.skip_to(b"'");
                    text.extend_from_slice(
                        self.text[from..self.at]
                            .strip_suffix(b"'")
                            .unwrap_or_default(),
                    );
                }
                b'"' => {
                    self.at += 1;
                    is_known &= self.quoted(&mut text);
                }
                b'\\' => self.escaped(&mut text),
                b'$' | b'`' => {
                    self.expansion();
                    is_known = false;
                }
                b'*' | b'?' | b'~' => {
                    is_known = false;
                    self.at += 1;
                }
                byte => {
                    text.push(byte);
                    self.at += 1;
                }
            }
        }
        let raw = String::from_utf8_lossy(&self.text[start..self.at]).into_owned();
        let word = match raw.as_str() {
            "\"$@\"" | "$@" | "\"${@}\"" | "${@}" | "$*" => Word::Arguments,
            _ if is_known => Word::Text(String::from_utf8_lossy(&text).into_owned()),
            _ => Word::Unknown,
        };
        (word, raw)
    }

    /// What follows a backslash stands for itself.
    fn escaped(&mut self, text: &mut Vec<u8>) {
        text.extend(self.text.get(self.at + 1));
        self.line += usize::from(self.next_is(b"\\\n"));
        self.at = (self.at + 2).min(self.text.len());
    }

    /// Up to the closing quote; whether nothing is expanded inside.
    fn quoted(&mut self, text: &mut Vec<u8>) -> bool {
        let mut is_known = true;
        while let Some(&byte) = self.text.get(self.at) {
            match byte {
                b'"' => {
                    self.at += 1;
                    break;
                }
                b'\\' => self.escaped(text),
                b'$' | b'`' => {
                    self.expansion();
                    is_known = false;
                }
                byte => {
                    self.line += usize::from(byte == b'\n');
                    text.push(byte);
                    self.at += 1;
                }
            }
        }
        is_known
    }

    /// Passes over what `$` or a backquote begins.
    fn expansion(&mut self) {
        let rest = &self.text[self.at..];
        if rest.starts_with(b"`") {
            self.fork("a command in backquotes");
            self.at += 1;
            self.at = self.skip_to(b"`");
        } else if rest.starts_with(b"$((") {
            self.at = self.skip_to(b"))");
        } else if rest.starts_with(b"$(") {
            self.fork("a command in $(…)");
            self.at += 1;
            self.skip_nested(b'(', b')');
        } else if rest.starts_with(b"${") {
            self.at += 1;
            self.skip_nested(b'{', b'}');
        } else {
            self.at += 1;
            let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
            let len = self.text[self.at..]
                .iter()
                .take_while(|byte| is_name(byte))
                .count();
            let is_special = self
                .text
                .get(self.at)
                .is_some_and(|byte| b"@*#?-$!".contains(byte));
            self.at += if len == 0 && is_special { 1 } else { len };
        }
    }

    /// Passes over what stands between two bytes, which nest.
    fn skip_nested(&mut self, open: u8, close: u8) {
        let mut depth = 0;
        while let Some(&byte) = self.text.get(self.at) {
            if self.next_is(b"$(") && !self.next_is(b"$((") && open != b'(' {
                self.fork("a command in $(…)");
            }
            self.line += usize::from(byte == b'\n');
            self.at += 1;
            if byte == b'\\' {
                self.at = (self.at + 1).min(self.text.len());
            } else if byte == open {
                depth += 1;
            } else if byte == close {
                depth -= 1;
                if depth == 0 {
                    break;
                }
            }
        }
    }

    /// The position behind `end`, or the text's end; lines are counted.
    pub(super) fn skip_to(&mut self, end: &[u8]) -> usize {
        let rest = &self.text[self.at..];
        let found = rest.windows(end.len()).position(|window| window == end);
        let len = found.map_or(rest.len(), |at| at + end.len());
        self.line += rest[..len].iter().filter(|&&byte| byte == b'\n').count();
        self.at + len
    }
}
