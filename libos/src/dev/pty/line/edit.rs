//! Editing the line that is being typed: taking characters back, ending it.

use linux_raw_sys::general::{
    ECHO, ECHOCTL, ECHOE, ECHOK, ECHOKE, ECHONL, IEXTEN, IUTF8, VEOF, VEOL, VEOL2, VERASE, VKILL,
    VLNEXT, VREPRINT, VWERASE,
};

use super::Line;

impl Line {
    /// A byte of a line that is being edited.
    pub(super) fn edit(&mut self, byte: u8) {
        let settings = self.settings;
        let extended = settings.has(IEXTEN);
        match byte {
            _ if settings.is(VERASE, byte) => self.erase(byte),
            _ if settings.is(VKILL, byte) => self.kill(byte),
            _ if extended && settings.is(VWERASE, byte) => self.erase_word(),
            _ if extended && settings.is(VLNEXT, byte) => {
                self.literal = true;
                if settings.has(ECHO) && settings.has(ECHOCTL) {
                    self.output.extend(b"^\x08");
                }
            }
            _ if extended && settings.has(ECHO) && settings.is(VREPRINT, byte) => {
                self.echo(byte);
                self.process(b'\n');
                for byte in self.current.clone() {
                    self.echo(byte);
                }
            }
            b'\n' => {
                if settings.has(ECHO) || settings.has(ECHONL) {
                    self.process(b'\n');
                }
                self.complete(Some(byte));
            }
            _ if settings.is(VEOF, byte) => self.complete(None),
            _ if settings.is(VEOL, byte) || extended && settings.is(VEOL2, byte) => {
                self.echo(byte);
                self.complete(Some(byte));
            }
            _ => self.insert(byte),
        }
    }

    pub(super) fn shows_caret(&self, byte: u8) -> bool {
        let is_control = byte < 0x20 || byte == 0x7f;
        is_control && self.settings.has(ECHOCTL) && byte != b'\t' && byte != b'\n'
    }

    /// Columns that `byte` takes at `column`.
    fn width(&self, byte: u8, column: usize) -> usize {
        match byte {
            b'\t' => 8 - column % 8,
            _ if self.shows_caret(byte) => 2,
            _ if byte < 0x20 || byte == 0x7f => 0,
            _ if self.is_continuation(byte) => 0,
            _ => 1,
        }
    }

    pub(super) fn is_continuation(&self, byte: u8) -> bool {
        self.settings.input & IUTF8 != 0 && byte & 0xc0 == 0x80
    }

    /// Takes the last character back, and from the screen. False where there is none.
    fn erase_last(&mut self) -> bool {
        let mut byte = self.current.pop();
        while byte.is_some_and(|byte| self.is_continuation(byte)) {
            byte = self.current.pop();
        }
        let Some(byte) = byte else {
            return false;
        };
        if self.settings.has(ECHO) && self.settings.has(ECHOE) {
            let before = (self.current.iter()).fold(self.current_column, |column, byte| {
                column + self.width(*byte, column)
            });
            let width = self.width(byte, before);
            // A tab left nothing on the screen that would have to be covered.
            let step: &[u8] = if byte == b'\t' { b"\x08" } else { b"\x08 \x08" };
            for _ in 0..width {
                self.output.extend(step);
            }
            self.column = self.column.saturating_sub(width);
        }
        true
    }

    fn erase(&mut self, byte: u8) {
        if self.erase_last() && !self.settings.has(ECHOE) {
            self.echo(byte);
        }
    }

    fn erase_word(&mut self) {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80;
        let mut in_word = false;
        while let Some(&last) = self.current.last() {
            if in_word && !is_word(last) {
                break;
            }
            in_word |= is_word(last);
            self.erase_last();
        }
    }

    fn kill(&mut self, byte: u8) {
        let settings = self.settings;
        if settings.has(ECHO) && settings.has(ECHOK) && settings.has(ECHOKE) && settings.has(ECHOE)
        {
            while self.erase_last() {}
            return;
        }
        self.current.clear();
        self.echo(byte);
        if settings.has(ECHO) && settings.has(ECHOK) {
            self.process(b'\n');
        }
    }
}
