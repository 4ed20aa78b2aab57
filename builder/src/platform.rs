//! Platforms as `--platform` names them: `linux/amd64[/VARIANT]`.
//!
//! A variant is a level of the x86-64 psABI, `v1` to `v4`: instructions that a
//! program may use. An image of a lower level runs where a higher one does, so
//! of an index's images the highest that fits is taken. The level is not looked
//! up on this machine: the same command gives the same file everywhere.

use std::fmt;
use std::str::FromStr;

use oci_spec::image::{Arch, Os};

/// Levels that the psABI has.
const LEVEL_MAX: u8 = 4;

/// What is wrong with a platform.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PlatformError {
    /// Not of the form that container tools use.
    #[error("{text:?} is no platform; write linux/amd64, or linux/amd64/v2 to v4")]
    Malformed {
        /// As given.
        text: String,
    },
    /// Unikernels are Linux programs for x86-64.
    #[error("unikernels run programs for linux/amd64, not for {text}")]
    Unsupported {
        /// As given.
        text: String,
    },
}

/// What images are taken: those for Linux on x86-64, up to a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Platform {
    level: u8,
}

impl Default for Platform {
    /// What every x86-64 processor runs.
    fn default() -> Self {
        Self { level: 1 }
    }
}

impl Platform {
    /// The level of an image whose document says this; `None` where it does not fit.
    pub(crate) fn level_of(self, os: &Os, arch: &Arch, variant: Option<&str>) -> Option<u8> {
        let level = match variant {
            None | Some("") => 1,
            Some(variant) => level(variant)?,
        };
        let fits = *os == Os::Linux && *arch == Arch::Amd64 && level <= self.level;
        fits.then_some(level)
    }
}

/// `v1` to `v4`.
fn level(variant: &str) -> Option<u8> {
    let [b'v', digit @ b'0'..=b'9'] = variant.as_bytes() else {
        return None;
    };
    let level = digit - b'0';
    (1..=LEVEL_MAX).contains(&level).then_some(level)
}

/// A platform as a document has it, for messages.
pub(crate) fn describe(os: &Os, arch: &Arch, variant: Option<&str>) -> String {
    match variant {
        None | Some("") => format!("{os}/{arch}"),
        Some(variant) => format!("{os}/{arch}/{variant}"),
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || PlatformError::Malformed {
            text: text.to_owned(),
        };
        let lower = text.to_ascii_lowercase();
        let mut parts = lower.split('/');
        let (os, arch) = (parts.next(), parts.next());
        let (Some(os), Some(arch)) = (os, arch) else {
            return Err(malformed());
        };
        let variant = parts.next();
        let has_gap = lower.split('/').any(str::is_empty);
        if has_gap || parts.next().is_some() {
            return Err(malformed());
        }
        if os != "linux" || !["amd64", "x86_64", "x86-64"].contains(&arch) {
            return Err(PlatformError::Unsupported {
                text: text.to_owned(),
            });
        }
        let level = variant.map_or(Some(1), level).ok_or_else(malformed)?;
        Ok(Self { level })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            1 => out.write_str("linux/amd64"),
            level => write!(out, "linux/amd64/v{level}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Platform, PlatformError};

    #[test]
    fn what_is_parsed_prints_as_container_tools_write_it() {
        for (text, printed) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/amd64/v1", "linux/amd64"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("Linux/X86_64/V2", "linux/amd64/v2"),
            ("linux/x86-64/v4", "linux/amd64/v4"),
        ] {
            let platform: Platform = text.parse().expect(text);
            assert_eq!(platform.to_string(), printed);
        }
    }

    #[test]
    fn other_machines_and_other_words_are_refused() {
        for text in [
            "linux/arm64",
            "linux/arm/v7",
            "windows/amd64",
            "linux/386",
            "darwin/arm64",
        ] {
            let unsupported = PlatformError::Unsupported {
                text: text.to_owned(),
            };
            assert_eq!(text.parse::<Platform>(), Err(unsupported));
        }
        for text in [
            "",
            "linux",
            "amd64",
            "linux/",
            "/amd64",
            "linux/amd64/",
            "linux/amd64/v0",
            "linux/amd64/v5",
            "linux/amd64/3",
            "linux/amd64/v+3",
            "linux/amd64/v3/x",
        ] {
            let error = text.parse::<Platform>();
            let is_malformed = matches!(error, Err(PlatformError::Malformed { .. }));
            assert!(is_malformed, "{text}: {error:?}");
        }
    }
}
