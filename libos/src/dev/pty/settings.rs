//! `struct termios` and `struct winsize`: what a terminal is set to.
//!
//! Source: termios(3), asm/termbits.h.

use linux_raw_sys::general::{
    B38400, CREAD, CS8, ECHO, ECHOCTL, ECHOE, ECHOK, ECHOKE, ICANON, ICRNL, IEXTEN, ISIG, IXON,
    ONLCR, OPOST,
};

/// Characters with a meaning, by the `V*` numbers.
const CHARACTERS: usize = 19;
/// Bytes of `struct termios`.
pub const SETTINGS_BYTES: usize = 36;
/// Bytes of `struct termios2`, which has two speeds more.
pub const SETTINGS2_BYTES: usize = 44;
/// Speed of a new terminal.
const SPEED: u32 = 38_400;

/// See the module documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// c_iflag.
    pub input: u32,
    /// c_oflag.
    pub output: u32,
    /// c_cflag.
    pub control: u32,
    /// c_lflag.
    pub local: u32,
    line: u8,
    characters: [u8; CHARACTERS],
    speeds: [u32; 2],
}

/// `struct winsize`: rows, columns, and two sizes in pixels, 16 bits each.
pub type WindowSize = [u8; 8];

impl Settings {
    /// A new terminal: lines are edited, echoed, and signals sent.
    pub const NEW: Settings = Settings {
        input: ICRNL | IXON,
        output: OPOST | ONLCR,
        control: B38400 | CS8 | CREAD,
        local: ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN,
        line: 0,
        // ^C ^\ DEL ^U ^D, time 0, min 1, -, ^Q ^S ^Z, -, ^R ^O ^W ^V, -.
        characters: [
            3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22, 0, 0, 0,
        ],
        speeds: [SPEED; 2],
    };

    /// The character with the meaning `number`; 0 where it is switched off.
    pub fn character(&self, number: u32) -> u8 {
        self.characters.get(number as usize).copied().unwrap_or(0)
    }

    /// Whether `byte` has the meaning `number`.
    pub fn is(&self, number: u32, byte: u8) -> bool {
        byte != 0 && self.character(number) == byte
    }

    /// Whether a flag of c_lflag is set.
    pub fn has(&self, flag: u32) -> bool {
        self.local & flag != 0
    }

    /// As `struct termios2`; `struct termios` is its beginning.
    pub fn to_bytes(self) -> [u8; SETTINGS2_BYTES] {
        let mut raw = [0; SETTINGS2_BYTES];
        let words = [self.input, self.output, self.control, self.local];
        for (place, word) in raw.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        let rest = [self.line];
        for (place, byte) in raw
            .iter_mut()
            .skip(16)
            .zip(rest.iter().chain(&self.characters))
        {
            *place = *byte;
        }
        for (place, speed) in raw.chunks_exact_mut(4).skip(9).zip(self.speeds) {
            place.copy_from_slice(&speed.to_le_bytes());
        }
        raw
    }

    /// From the bytes of either structure; the speeds stay without the second's.
    pub fn changed_by(mut self, raw: &[u8]) -> Settings {
        let word = |index: usize| {
            let bytes = raw.chunks_exact(4).nth(index);
            bytes
                .and_then(|bytes| bytes.try_into().ok())
                .map(u32::from_le_bytes)
        };
        let fields = [
            &mut self.input,
            &mut self.output,
            &mut self.control,
            &mut self.local,
        ];
        for (index, field) in fields.into_iter().enumerate() {
            *field = word(index).unwrap_or(*field);
        }
        self.line = raw.get(16).copied().unwrap_or(0);
        for (place, byte) in self.characters.iter_mut().zip(raw.iter().skip(17)) {
            *place = *byte;
        }
        for (index, speed) in self.speeds.iter_mut().enumerate() {
            *speed = word(9 + index).unwrap_or(*speed);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use linux_raw_sys::general::{VEOF, VINTR, VMIN};

    use super::*;

    #[test]
    fn settings_go_out_and_come_back() {
        let raw = Settings::NEW.to_bytes();
        assert_eq!(Settings::NEW.changed_by(&raw), Settings::NEW);
        assert_eq!(&raw[..4], &0x500u32.to_le_bytes());
        assert_eq!(&raw[12..16], &0x8a3bu32.to_le_bytes());
        assert_eq!(&raw[17..22], &[3, 28, 127, 21, 4]);
        let mut short = raw;
        short[17] = 7;
        let changed = Settings::NEW.changed_by(&short[..SETTINGS_BYTES]);
        assert_eq!(changed.character(VINTR), 7);
        assert_eq!(changed.speeds, Settings::NEW.speeds);
    }

    #[test]
    fn a_zero_is_no_character() {
        assert!(Settings::NEW.is(VEOF, 4));
        assert!(!Settings::NEW.is(linux_raw_sys::general::VEOL, 0));
        assert_eq!(Settings::NEW.character(VMIN), 1);
    }
}
