//! The kernel's interface files: read, parsed, written. Every error names the file.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::error::CgroupError;

/// What an interface file holds, and which one it was.
#[derive(Debug)]
pub struct Text {
    file: PathBuf,
    text: String,
}

impl Text {
    /// Reads a file; none: it does not exist.
    pub fn read(file: &Path) -> Result<Option<Self>, CgroupError> {
        match fs::read_to_string(file) {
            Ok(text) => Ok(Some(Self::new(file, text))),
            // ENODEV: the cgroup was removed while the file was open.
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    || error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error()) =>
            {
                Ok(None)
            }
            Err(source) => Err(CgroupError::Read {
                file: file.to_owned(),
                source,
            }),
        }
    }

    /// Text as if read from `file`.
    pub fn new(file: &Path, text: String) -> Self {
        Self {
            file: file.to_owned(),
            text,
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// An error about a line, counted from 1.
    pub fn malformed(&self, line: usize, problem: impl Into<String>) -> CgroupError {
        CgroupError::Malformed {
            file: self.file.clone(),
            line,
            problem: problem.into(),
        }
    }

    /// Its lines with their numbers.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }

    /// A number of line `line`.
    pub fn number(&self, line: usize, word: &str) -> Result<u64, CgroupError> {
        word.parse()
            .map_err(|_| self.malformed(line, format!("{word:?} is no number")))
    }

    /// A file of one number.
    pub fn single(&self) -> Result<u64, CgroupError> {
        self.number(1, self.text.trim())
    }

    /// A file of one number or `max`, which is none.
    pub fn single_or_max(&self) -> Result<Option<u64>, CgroupError> {
        match self.text.trim() {
            "max" => Ok(None),
            word => self.number(1, word).map(Some),
        }
    }

    /// `KEY NUMBER` lines.
    pub fn flat(&self) -> Result<Flat<'_>, CgroupError> {
        let mut pairs = Vec::new();
        for (line, text) in self.lines() {
            let (key, value) = text
                .split_once(' ')
                .ok_or_else(|| self.malformed(line, format!("{text:?} is no `KEY NUMBER`")))?;
            pairs.push((key, self.number(line, value.trim())?));
        }
        Ok(Flat { text: self, pairs })
    }

    /// Process numbers, one a line.
    pub fn processes(&self) -> Result<Vec<i32>, CgroupError> {
        let mut processes = Vec::new();
        for (line, text) in self.lines() {
            let pid: i32 = text
                .trim()
                .parse()
                .map_err(|_| self.malformed(line, format!("{text:?} is no process number")))?;
            // 0: a process of another pid namespace, out of reach.
            if pid > 0 {
                processes.push(pid);
            }
        }
        Ok(processes)
    }
}

/// A flat-keyed file.
#[derive(Debug)]
pub struct Flat<'a> {
    text: &'a Text,
    pairs: Vec<(&'a str, u64)>,
}

impl Flat<'_> {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<u64> {
        let mut pairs = self.pairs.iter();
        pairs
            .find(|(name, _)| *name == key)
            .map(|(_, value)| *value)
    }

    /// The value of a key that must be there.
    pub fn need(&self, key: &str) -> Result<u64, CgroupError> {
        let last = self.pairs.len().max(1);
        self.get(key)
            .ok_or_else(|| self.text.malformed(last, format!("there is no line {key}")))
    }
}

/// Writes a value to an existing file, by one write(2): the kernel takes a value as one.
pub fn write(file: &Path, value: &str) -> io::Result<()> {
    let mut open = fs::OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(file)?;
    // An empty value needs a byte to be seen at all.
    let bytes = if value.is_empty() { "\n" } else { value };
    let written = open.write(bytes.as_bytes())?;
    if written == bytes.len() {
        Ok(())
    } else {
        Err(io::Error::new(
            io::ErrorKind::WriteZero,
            format!("{written} of {} bytes were taken", bytes.len()),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(content: &str) -> Text {
        Text::new(Path::new("/c/memory.stat"), content.to_owned())
    }

    #[test]
    fn numbers() {
        assert_eq!(
            text("59356117021584\n").single().unwrap(),
            59_356_117_021_584
        );
        assert_eq!(text("max\n").single_or_max().unwrap(), None);
        assert_eq!(text("512\n").single_or_max().unwrap(), Some(512));
        assert_eq!(
            text("many\n").single().unwrap_err().to_string(),
            "/c/memory.stat line 1: \"many\" is no number"
        );
        for wrong in ["", "-1\n", "1 2\n", "max", "18446744073709551616"] {
            assert!(text(wrong).single().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn flat_files() {
        let file = text("anon 10\nfile 20\n");
        let flat = file.flat().unwrap();
        assert_eq!(flat.get("file"), Some(20));
        assert_eq!(flat.get("fil"), None);
        assert_eq!(
            flat.need("pgfault").unwrap_err().to_string(),
            "/c/memory.stat line 2: there is no line pgfault"
        );
        assert_eq!(
            text("anon 10\nfile\n").flat().unwrap_err().to_string(),
            "/c/memory.stat line 2: \"file\" is no `KEY NUMBER`"
        );
        assert_eq!(
            text("anon 10\n\nfile x\n").flat().unwrap_err().to_string(),
            "/c/memory.stat line 2: \"\" is no `KEY NUMBER`"
        );
        assert!(text("anon 1 2\n").flat().is_err());
    }

    #[test]
    fn process_lists() {
        assert_eq!(text("0\n7\n12\n").processes().unwrap(), [7, 12]);
        assert!(text("").processes().unwrap().is_empty());
        assert_eq!(
            text("7\n12a\n").processes().unwrap_err().to_string(),
            "/c/memory.stat line 2: \"12a\" is no process number"
        );
    }

    #[test]
    fn files_that_are_not_there() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("memory.max");
        assert!(Text::read(&file).unwrap().is_none());
        assert!(
            write(&file, "1").is_err(),
            "an interface file is never made"
        );
        assert!(matches!(
            Text::read(directory.path()),
            Err(CgroupError::Read { .. })
        ));
    }
}
