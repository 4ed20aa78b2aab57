//! The line discipline: what happens to bytes between the two ends of a pseudo-terminal.
//!
//! ```text
//! master writes ─▶ receive ─▶ current line ─▶ ready ─▶ slave reads
//!                     │ echo
//!                     ▼
//! master reads ◀─── output ◀─ process ◀────────────── slave writes
//! ```
//!
//! Pure bookkeeping, tested on the host. Source: termios(3), and for what it
//! leaves open, what Linux does.

mod edit;

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use linux_raw_sys::general::{
    ECHO, ICANON, ICRNL, IGNCR, INLCR, ISIG, ISTRIP, IXANY, IXON, NOFLSH, OCRNL, ONLCR, ONLRET,
    ONOCR, OPOST, SIGINT, SIGQUIT, SIGTSTP, TABDLY, VINTR, VMIN, VQUIT, VSTART, VSTOP, VSUSP,
    VTIME, XTABS,
};

use super::settings::Settings;

/// Bytes of one line, its end included; more are dropped.
const LINE_BYTES: usize = 4096;
/// Bytes that either direction holds.
const ROOM_BYTES: usize = 12 << 10;

/// See the module documentation.
pub(super) struct Line {
    settings: Settings,
    /// The line that is being typed.
    current: Vec<u8>,
    /// Column where it began.
    current_column: usize,
    /// What the slave may read.
    ready: VecDeque<u8>,
    /// Lengths of the lines in it; 0 is an end of file. Only with ICANON.
    lengths: VecDeque<usize>,
    /// What the master may read.
    output: VecDeque<u8>,
    column: usize,
    /// The next byte has no meaning (VLNEXT).
    literal: bool,
    /// Output is stopped (VSTOP).
    stopped: bool,
}

impl Line {
    /// A new terminal.
    pub(super) fn new() -> Line {
        Line {
            settings: Settings::NEW,
            current: Vec::new(),
            current_column: 0,
            ready: VecDeque::new(),
            lengths: VecDeque::new(),
            output: VecDeque::new(),
            column: 0,
            literal: false,
            stopped: false,
        }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Other settings. What was typed stays: without ICANON all of it can be
    /// read at once, and with it what was there counts as a line.
    pub(super) fn set(&mut self, settings: Settings) {
        let was_canonical = self.is_canonical();
        self.settings = settings;
        if was_canonical && !self.is_canonical() {
            self.lengths.clear();
            self.ready.extend(self.current.drain(..));
        } else if !was_canonical && self.is_canonical() && !self.ready.is_empty() {
            self.lengths.push_back(self.ready.len());
        }
    }

    fn is_canonical(&self) -> bool {
        self.settings.has(ICANON)
    }

    /// Whether a byte of the master would be lost for want of room.
    pub(super) fn is_full(&self) -> bool {
        self.ready.len() >= ROOM_BYTES
    }

    /// Takes one byte of the master. A signal is for the foreground group.
    pub(super) fn receive(&mut self, byte: u8) -> Option<u32> {
        let input = self.settings.input;
        let mut byte = if input & ISTRIP != 0 {
            byte & 0x7f
        } else {
            byte
        };
        if core::mem::take(&mut self.literal) {
            self.insert(byte);
            return None;
        }
        if input & IXON != 0 {
            if self.settings.is(VSTART, byte) {
                self.stopped = false;
                return None;
            }
            if self.settings.is(VSTOP, byte) {
                self.stopped = true;
                return None;
            }
            if input & IXANY != 0 {
                self.stopped = false;
            }
        }
        if let Some(signal) = self.signal_of(byte) {
            if !self.settings.has(NOFLSH) {
                self.flush_input();
                self.output.clear();
            }
            if input & IXON != 0 {
                self.stopped = false;
            }
            self.echo(byte);
            return Some(signal);
        }
        match byte {
            b'\r' if input & IGNCR != 0 => return None,
            b'\r' if input & ICRNL != 0 => byte = b'\n',
            b'\n' if input & INLCR != 0 => byte = b'\r',
            _ => {}
        }
        if self.is_canonical() {
            self.edit(byte);
        } else {
            self.insert(byte);
        }
        None
    }

    fn signal_of(&self, byte: u8) -> Option<u32> {
        let signals = [(VINTR, SIGINT), (VQUIT, SIGQUIT), (VSUSP, SIGTSTP)];
        let mut signals = signals.into_iter();
        let found = signals.find(|(character, _)| self.settings.is(*character, byte));
        found
            .filter(|_| self.settings.has(ISIG))
            .map(|(_, signal)| signal)
    }

    /// A byte without a meaning.
    fn insert(&mut self, byte: u8) {
        if !self.is_canonical() {
            self.echo(byte);
            self.ready.push_back(byte);
        } else if self.current.len() + 1 < LINE_BYTES {
            if self.current.is_empty() {
                self.current_column = self.column;
            }
            self.echo(byte);
            self.current.push(byte);
        }
    }

    /// Ends the line, with `end` in it.
    fn complete(&mut self, end: Option<u8>) {
        self.current.extend(end);
        self.lengths.push_back(self.current.len());
        self.ready.extend(self.current.drain(..));
    }

    /// How `byte` is echoed: `^X` for a control character.
    fn echo(&mut self, byte: u8) {
        if !self.settings.has(ECHO) {
            return;
        }
        if self.shows_caret(byte) {
            self.output.extend([b'^', byte ^ 0x40]);
            self.column += 2;
        } else {
            self.process(byte);
        }
    }

    /// Puts one byte out as c_oflag says.
    fn process(&mut self, byte: u8) {
        let flags = self.settings.output;
        if flags & OPOST == 0 {
            self.output.push_back(byte);
            return;
        }
        match byte {
            b'\n' if flags & ONLCR != 0 => {
                self.output.extend(b"\r\n");
                self.column = 0;
            }
            b'\n' => {
                self.output.push_back(b'\n');
                if flags & ONLRET != 0 {
                    self.column = 0;
                }
            }
            b'\r' if flags & ONOCR != 0 && self.column == 0 => {}
            b'\r' if flags & OCRNL != 0 => {
                self.output.push_back(b'\n');
                if flags & ONLRET != 0 {
                    self.column = 0;
                }
            }
            b'\r' => {
                self.output.push_back(b'\r');
                self.column = 0;
            }
            b'\t' => {
                let width = 8 - self.column % 8;
                if flags & TABDLY == XTABS {
                    self.output.extend(core::iter::repeat_n(b' ', width));
                } else {
                    self.output.push_back(b'\t');
                }
                self.column += width;
            }
            0x08 => {
                self.output.push_back(byte);
                self.column = self.column.saturating_sub(1);
            }
            _ => {
                self.output.push_back(byte);
                let is_control = byte < 0x20 || byte == 0x7f;
                self.column += usize::from(!is_control && !self.is_continuation(byte));
            }
        }
    }

    /// Writes of the slave: how many bytes there was room for.
    pub(super) fn write(&mut self, bytes: &[u8]) -> usize {
        let mut count = 0;
        for &byte in bytes {
            if !self.has_room() {
                break;
            }
            self.process(byte);
            count += 1;
        }
        count
    }

    /// Whether the slave can write.
    pub(super) fn has_room(&self) -> bool {
        !self.stopped && self.output.len() < ROOM_BYTES
    }

    /// Stops or starts the slave's output.
    pub(super) fn set_stopped(&mut self, stopped: bool) {
        self.stopped = stopped;
    }

    /// Reads of the master; nothing where there is nothing.
    pub(super) fn take_output(&mut self, most: usize) -> Option<Vec<u8>> {
        let count = most.min(self.output.len());
        (count > 0).then(|| self.output.drain(..count).collect())
    }

    /// Bytes that the master can read.
    pub(super) fn output_len(&self) -> usize {
        self.output.len()
    }

    /// Bytes that the slave can read.
    pub(super) fn input_len(&self) -> usize {
        self.ready.len()
    }

    /// VMIN and VTIME (in tenths of a second); none with ICANON.
    pub(super) fn pace(&self) -> Option<(usize, u64)> {
        (!self.is_canonical()).then(|| {
            (
                usize::from(self.settings.character(VMIN)),
                u64::from(self.settings.character(VTIME)),
            )
        })
    }

    /// Whether `poll` shows the slave as readable.
    pub(super) fn is_readable(&self) -> bool {
        match self.pace() {
            None => !self.lengths.is_empty(),
            Some((min, 0)) => self.ready.len() >= min.max(1),
            Some(_) => !self.ready.is_empty(),
        }
    }

    /// Reads of the slave: a line or a part of one, empty at an end of file.
    /// Without ICANON what there is, if it is at least `least`.
    pub(super) fn take_input(&mut self, most: usize, least: usize) -> Option<Vec<u8>> {
        if !self.is_canonical() {
            let count = most.min(self.ready.len());
            return (count >= least).then(|| self.ready.drain(..count).collect());
        }
        let length = self.lengths.front_mut()?;
        let count = most.min(*length);
        *length -= count;
        if *length == 0 {
            self.lengths.pop_front();
        }
        Some(self.ready.drain(..count).collect())
    }

    /// Drops what was typed.
    pub(super) fn flush_input(&mut self) {
        self.current.clear();
        self.ready.clear();
        self.lengths.clear();
        self.literal = false;
    }

    /// Drops what the master has not read.
    pub(super) fn flush_output(&mut self) {
        self.output.clear();
    }
}

#[cfg(test)]
mod tests;
