//! Where the files of an image are: a directory, or a tar file that is indexed
//! once and then read in place. A compressed tar file is unpacked to an unnamed
//! temporary file first.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tar::EntryType;

use super::compression::Compression;
use super::tar::{Reader, Source, TarError};

/// Links from name to name in an archive before it is taken for a circle.
const LINKS_MAX: usize = 16;
/// Bytes of a tar archive's smallest form: one header.
const TAR_BLOCK_BYTES: u64 = 512;
/// Most members of an archive. One of 127 layers has some five hundred.
const MEMBERS_MAX: u32 = 65_536;

/// What goes wrong with the place itself.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// It cannot be opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// File or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of a layout is a device, a pipe or a directory.
    #[error("{} is no regular file; copy the image again", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// It is no tar archive, or a damaged one.
    #[error("{} is not a whole tar archive; write it again", path.display())]
    NotAnArchive {
        /// The file.
        path: PathBuf,
        /// What the tar reader said.
        source: TarError,
    },
    /// It cannot be decompressed.
    #[error("{} is not a whole tar archive: it does not unpack; write it again", path.display())]
    Decompress {
        /// The file.
        path: PathBuf,
        /// What the decompressor said.
        source: io::Error,
    },
    /// More members than any image has.
    #[error("{} has more than {MEMBERS_MAX} members; this is no image", path.display())]
    TooManyMembers {
        /// The file.
        path: PathBuf,
    },
    /// A compressed archive exceeds the limit.
    #[error("{} unpacks to more than {limit_bytes} bytes; raise --max-unpacked if it is trusted", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit_bytes: u64,
    },
}

/// A part of a file, readable from several threads.
#[derive(Clone, Debug)]
pub(super) struct FileRange {
    file: Arc<File>,
    offset: u64,
    pub(super) len_bytes: u64,
}

impl FileRange {
    /// Reads the range from its start.
    pub(super) fn reader(&self) -> RangeReader {
        RangeReader {
            range: self.clone(),
            position: 0,
        }
    }
}

/// See [`FileRange::reader`].
pub(super) struct RangeReader {
    range: FileRange,
    position: u64,
}

impl Source for RangeReader {
    fn pass(&mut self, len_bytes: u64) -> io::Result<()> {
        let end = self.position.checked_add(len_bytes);
        self.position = end
            .filter(|&end| end <= self.range.len_bytes)
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(())
    }
}

impl Read for RangeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.range.len_bytes - self.position;
        let len = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        let offset = self.range.offset + self.position;
        let count = self.range.file.read_at(&mut buffer[..len], offset)?;
        self.position += count as u64;
        Ok(count)
    }
}

/// See the module documentation.
#[derive(Debug)]
pub(super) enum Container {
    Directory(PathBuf),
    Archive {
        file: Arc<File>,
        members: BTreeMap<Vec<u8>, Member>,
    },
}

/// A member of an archive.
#[derive(Debug)]
pub(super) enum Member {
    File {
        offset: u64,
        len_bytes: u64,
    },
    /// Another name: some archives link equal layers.
    Link(Vec<u8>),
}

impl Container {
    pub(super) fn directory(path: &Path) -> Result<Self, ContainerError> {
        match path.metadata() {
            Ok(metadata) if metadata.is_dir() => Ok(Self::Directory(path.to_owned())),
            Ok(_) => Err(open_error(path)(io::ErrorKind::NotADirectory.into())),
            Err(source) => Err(open_error(path)(source)),
        }
    }

    /// Opens and indexes a tar file.
    pub(super) fn archive(
        path: &Path,
        spool_directory: &Path,
        limit_bytes: u64,
    ) -> Result<Self, ContainerError> {
        let mut file = File::open(path).map_err(open_error(path))?;
        let mut start = [0; 4];
        let len = file.read_at(&mut start, 0).map_err(open_error(path))?;
        let compression = Compression::sniff(&start[..len]);
        if compression != Compression::None {
            file = decompress(&file, compression, path, spool_directory, limit_bytes)?;
        }
        let len_bytes = file.metadata().map_err(open_error(path))?.len();
        if len_bytes < TAR_BLOCK_BYTES {
            return Err(ContainerError::NotAnArchive {
                path: path.to_owned(),
                source: TarError::Truncated,
            });
        }
        let file = Arc::new(file);
        let range = FileRange {
            file: Arc::clone(&file),
            offset: 0,
            len_bytes,
        };
        let members = index(&range, path)?;
        Ok(Self::Archive { file, members })
    }

    /// Finds a file by its name in the image; `None` where it is not there.
    pub(super) fn find(&self, name: &str) -> Result<Option<FileRange>, ContainerError> {
        match self {
            Self::Directory(directory) => {
                let path = directory.join(name);
                // Opening a pipe would wait for its writer.
                if path.metadata().is_ok_and(|there| !there.is_file()) {
                    return Err(ContainerError::NotAFile { path });
                }
                let file = match File::open(&path) {
                    Ok(file) => file,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                    Err(source) => return Err(open_error(&path)(source)),
                };
                let len_bytes = file.metadata().map_err(open_error(&path))?.len();
                Ok(Some(FileRange {
                    file: Arc::new(file),
                    offset: 0,
                    len_bytes,
                }))
            }
            Self::Archive { file, members } => {
                let mut name = name.as_bytes();
                for _ in 0..LINKS_MAX {
                    match members.get(name) {
                        Some(&Member::File { offset, len_bytes }) => {
                            let file = Arc::clone(file);
                            return Ok(Some(FileRange {
                                file,
                                offset,
                                len_bytes,
                            }));
                        }
                        Some(Member::Link(target)) => name = target,
                        None => break,
                    }
                }
                Ok(None)
            }
        }
    }
}

fn open_error(path: &Path) -> impl FnOnce(io::Error) -> ContainerError {
    let path = path.to_owned();
    move |source| ContainerError::Open { path, source }
}

/// Lists the members. Nothing of them is read but headers and names.
fn index(file: &FileRange, path: &Path) -> Result<BTreeMap<Vec<u8>, Member>, ContainerError> {
    let damaged = |source| ContainerError::NotAnArchive {
        path: path.to_owned(),
        source,
    };
    let mut members = BTreeMap::new();
    let mut reader = Reader::new(file.reader());
    let mut left = MEMBERS_MAX;
    while let Some(member) = reader.next().map_err(damaged)? {
        left = left
            .checked_sub(1)
            .ok_or_else(|| ContainerError::TooManyMembers {
                path: path.to_owned(),
            })?;
        let name = normalize(&member.path);
        let entry = match member.kind {
            EntryType::Link => Member::Link(normalize(&member.link)),
            EntryType::Symlink => {
                let directory = name
                    .rsplitn(2, |&byte| byte == b'/')
                    .nth(1)
                    .unwrap_or_default();
                Member::Link(normalize(&[directory, &member.link].join(&b'/')))
            }
            EntryType::Regular | EntryType::Continuous => {
                let offset = reader.position();
                let end = offset.checked_add(member.len_bytes);
                if end.is_none_or(|end| end > file.len_bytes) {
                    return Err(damaged(TarError::CutOff {
                        path: String::from_utf8_lossy(&name).into_owned(),
                    }));
                }
                Member::File {
                    offset,
                    len_bytes: member.len_bytes,
                }
            }
            _ => continue,
        };
        members.insert(name, entry);
    }
    Ok(members)
}

/// Drops `./`, and resolves `..` by its text: names are keys here, not paths.
fn normalize(name: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in name.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join(&b'/')
}

fn decompress(
    file: &File,
    compression: Compression,
    path: &Path,
    spool_directory: &Path,
    limit_bytes: u64,
) -> Result<File, ContainerError> {
    let damaged = |source| ContainerError::Decompress {
        path: path.to_owned(),
        source,
    };
    let mut spool = tempfile::tempfile_in(spool_directory).map_err(open_error(spool_directory))?;
    let mut reader = compression
        .decoder(file)
        .map_err(damaged)?
        .take(limit_bytes.saturating_add(1));
    let mut chunk = vec![0; 256 << 10];
    let mut total_bytes = 0;
    loop {
        let len = reader.read(&mut chunk).map_err(damaged)?;
        if len == 0 {
            break;
        }
        total_bytes += len as u64;
        if total_bytes > limit_bytes {
            return Err(ContainerError::TooLarge {
                path: path.to_owned(),
                limit_bytes,
            });
        }
        spool
            .write_all(&chunk[..len])
            .map_err(open_error(spool_directory))?;
    }
    spool.rewind().map_err(open_error(spool_directory))?;
    Ok(spool)
}
