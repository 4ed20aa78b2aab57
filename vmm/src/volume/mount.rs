//! `SRC:DST[:ro]`, as docker writes it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Errors of this module.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum MountError {
    /// A part is missing or there is one too many.
    #[error("{text:?} is no volume; write SRC:DST or SRC:DST:ro")]
    Shape {
        /// As given.
        text: String,
    },
    /// DST cannot be a place in the guest.
    #[error(
        "a volume cannot be at {place:?} in the guest; write an absolute path below / without .."
    )]
    Place {
        /// DST.
        place: String,
    },
    /// An unknown option.
    #[error("{option:?} is no option of a volume; there are ro and rw")]
    Option {
        /// As given.
        option: String,
    },
}

/// What goes where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// On the host.
    pub source: PathBuf,
    /// In the guest: absolute, without `.`, `..` and doubled slashes.
    pub place: OsString,
    /// The guest cannot change anything there.
    pub read_only: bool,
}

impl Mount {
    /// Reads `SRC:DST[:ro|:rw]`.
    ///
    /// # Errors
    /// See [`MountError`].
    pub fn parse(text: &OsStr) -> Result<Self, MountError> {
        let shape = || MountError::Shape {
            text: text.to_string_lossy().into_owned(),
        };
        let mut parts = text.as_bytes().split(|&byte| byte == b':');
        let (Some(source), Some(place), option, None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(shape());
        };
        if source.is_empty() || source.contains(&0) {
            return Err(shape());
        }
        let read_only = match option {
            None | Some(b"rw") => false,
            Some(b"ro") => true,
            Some(other) => {
                return Err(MountError::Option {
                    option: String::from_utf8_lossy(other).into_owned(),
                });
            }
        };
        Self::at(PathBuf::from(OsStr::from_bytes(source)), place, read_only)
    }

    /// The same from its parts.
    ///
    /// # Errors
    /// [`MountError::Place`].
    pub fn at(source: PathBuf, place: &[u8], read_only: bool) -> Result<Self, MountError> {
        Ok(Self {
            source,
            place: normal_place(place)?,
            read_only,
        })
    }
}

fn normal_place(place: &[u8]) -> Result<OsString, MountError> {
    let wrong = || MountError::Place {
        place: String::from_utf8_lossy(place).into_owned(),
    };
    if !place.starts_with(b"/") || place.contains(&0) || place.len() > 4095 {
        return Err(wrong());
    }
    let mut normal = Vec::new();
    for name in place.split(|&byte| byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => return Err(wrong()),
            name if name.len() > 255 => return Err(wrong()),
            name => {
                normal.push(b'/');
                normal.extend_from_slice(name);
            }
        }
    }
    if normal.is_empty() {
        return Err(wrong());
    }
    Ok(OsStr::from_bytes(&normal).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(String, String, bool), MountError> {
        let mount = Mount::parse(OsStr::new(text))?;
        let text = |path: &OsStr| path.to_string_lossy().into_owned();
        Ok((
            text(mount.source.as_os_str()),
            text(&mount.place),
            mount.read_only,
        ))
    }

    #[test]
    fn volumes_are_written_as_docker_writes_them() {
        let wanted = |source: &str, place: &str, ro| Ok((source.into(), place.into(), ro));
        assert_eq!(parse("/a:/b"), wanted("/a", "/b", false));
        assert_eq!(parse("a/b:/c//d/./e/:ro"), wanted("a/b", "/c/d/e", true));
        assert_eq!(parse(".:/x:rw"), wanted(".", "/x", false));
    }

    #[test]
    fn others_are_refused() {
        for text in ["", "/a", ":/b", "/a:/b:ro:x"] {
            assert!(
                matches!(parse(text), Err(MountError::Shape { .. })),
                "{text}"
            );
        }
        for text in ["/a:", "/a:b", "/a:/", "/a:/..", "/a:/b/../c", "/a:/."] {
            assert!(
                matches!(parse(text), Err(MountError::Place { .. })),
                "{text}"
            );
        }
        assert!(matches!(parse("/a:/b:z"), Err(MountError::Option { .. })));
    }
}
