//! `unikiln logs ID`: a container's log, as its program wrote it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use unikiln_daemon::client::Client;
use unikiln_daemon::proto::ContainerState;

use super::socket::DaemonOptions;

/// How often a followed log is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Print the log of a container of `unikiln serve`: its two streams, each to its own.
#[derive(Debug, Args)]
pub(super) struct Logs {
    /// Wait for more until the container ends, over rotations.
    #[arg(short, long)]
    follow: bool,
    /// Begin with the last N lines.
    #[arg(long, value_name = "N")]
    tail: Option<usize>,
    /// Print each line's time.
    #[arg(short, long)]
    timestamps: bool,
    #[command(flatten)]
    daemon: DaemonOptions,
    /// The container's id, or what begins it.
    #[arg(value_name = "ID")]
    id: String,
}

impl Logs {
    pub(super) fn execute(self) -> Result<()> {
        let mut client = self.daemon.connect()?;
        let (status, _) = client.container(&self.id)?;
        ensure!(
            !status.log_path.is_empty(),
            "container {} has no log: its pod was made without a log directory",
            status.id
        );
        let path = PathBuf::from(&status.log_path);
        let mut reader = open(&path)?;
        let mut lines = Vec::new();
        read_lines(&mut reader, &mut lines)?;
        let partial = take_partial(&mut lines);
        let skipped = self.tail.map_or(0, |tail| lines.len().saturating_sub(tail));
        for line in lines.iter().skip(skipped) {
            self.print(line)?;
        }
        if self.follow {
            self.follow(&mut client, &status.id, &path, reader, partial)?;
        } else if let Some(partial) = partial {
            self.print(&partial)?;
        }
        Ok(())
    }

    /// Prints what comes, until the container has ended and nothing more is there.
    fn follow(
        &self,
        client: &mut Client,
        id: &str,
        path: &Path,
        mut reader: BufReader<File>,
        partial: Option<Vec<u8>>,
    ) -> Result<()> {
        let mut rest = partial.unwrap_or_default();
        loop {
            // Asked before the file is read: what was written before the end is read after it.
            let has_ended = client.container(id).map_or(true, |(status, _)| {
                status.state() == ContainerState::ContainerExited
            });
            let mut lines = vec![std::mem::take(&mut rest)];
            read_lines_into(&mut reader, &mut lines)?;
            rest = take_partial(&mut lines).unwrap_or_default();
            for line in &lines {
                self.print(line)?;
            }
            // The old file is read to its end before the new one is opened.
            let here = reader.get_ref().metadata()?.ino();
            if std::fs::metadata(path).is_ok_and(|now| now.ino() != here) {
                reader = open(path)?;
                continue;
            }
            if has_ended {
                return Ok(());
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    fn print(&self, line: &[u8]) -> Result<()> {
        if line.is_empty() {
            return Ok(());
        }
        let Some(entry) = Entry::parse(line) else {
            // Not a CRI line: shown as it is.
            io::stdout().write_all(line)?;
            return Ok(());
        };
        let mut text = Vec::new();
        if self.timestamps {
            text.extend_from_slice(entry.time);
            text.push(b' ');
        }
        text.extend_from_slice(entry.text);
        if entry.is_whole {
            text.push(b'\n');
        }
        if entry.is_stderr {
            io::stderr().write_all(&text)?;
        } else {
            io::stdout().write_all(&text)?;
        }
        Ok(())
    }
}

fn open(path: &Path) -> Result<BufReader<File>> {
    let file =
        File::open(path).with_context(|| format!("cannot read the log {}", path.display()))?;
    Ok(BufReader::new(file))
}

fn read_lines(reader: &mut BufReader<File>, lines: &mut Vec<Vec<u8>>) -> Result<()> {
    lines.push(Vec::new());
    read_lines_into(reader, lines)
}

/// Continues the last line, and adds those that follow; each with its newline.
fn read_lines_into(reader: &mut impl BufRead, lines: &mut Vec<Vec<u8>>) -> Result<()> {
    loop {
        if lines.last().is_none_or(|line| line.ends_with(b"\n")) {
            lines.push(Vec::new());
        }
        let Some(line) = lines.last_mut() else {
            continue;
        };
        if reader
            .read_until(b'\n', line)
            .context("cannot read the log")?
            == 0
        {
            return Ok(());
        }
    }
}

/// Takes a last line away that has not ended.
fn take_partial(lines: &mut Vec<Vec<u8>>) -> Option<Vec<u8>> {
    lines.pop_if(|line| !line.ends_with(b"\n"))
}

/// A CRI log line: `TIME STREAM TAG TEXT`.
struct Entry<'a> {
    time: &'a [u8],
    is_stderr: bool,
    is_whole: bool,
    text: &'a [u8],
}

impl<'a> Entry<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let mut words = line.splitn(4, |&byte| byte == b' ');
        let (time, stream, tag) = (words.next()?, words.next()?, words.next()?);
        let is_stderr = match stream {
            b"stdout" => false,
            b"stderr" => true,
            _ => return None,
        };
        Some(Self {
            time,
            is_stderr,
            is_whole: !tag.starts_with(b"P"),
            text: words.next().unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_four_words() {
        let entry = Entry::parse(b"2026-11-26T00:00:00Z stderr P two words\n").expect("a line");
        assert!(entry.is_stderr && !entry.is_whole);
        assert_eq!(entry.text, b"two words");
        let entry = Entry::parse(b"T stdout F \n").expect("a line");
        assert!(entry.is_whole && entry.text.is_empty());
        assert!(Entry::parse(b"plain text\n").is_none());
    }

    #[test]
    fn lines_that_have_not_ended_are_kept() {
        let mut lines = vec![b"a".to_vec()];
        read_lines_into(&mut &b"b\nc\nd"[..], &mut lines).expect("memory can be read");
        let rest = take_partial(&mut lines);
        assert_eq!(lines, [b"ab\n".to_vec(), b"c\n".to_vec()]);
        assert_eq!(rest, Some(b"d".to_vec()));
    }
}
