//! Kubernetes log lines: `TIME STREAM TAG TEXT`.
//!
//! TIME is RFC 3339 with nanoseconds, TAG is `F` for a line that ended and `P`
//! for a part of one. A write that ends inside a line gives a `P` at once:
//! nothing waits in the monitor, so nothing is lost with it. Lines longer than
//! [`LINE_MAX_BYTES`] come in `P` pieces, as kubelet expects.
//!
//! One write of the guest is one write to the file. What a full disk cut off is
//! kept, up to [`BACKLOG_MAX_BYTES`], and goes out first the next time, so that
//! a line is never torn.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use super::Stream;
use super::output::Output;

/// Longest text of one log line.
const LINE_MAX_BYTES: usize = 16 << 10;
/// Most bytes kept while the file takes none.
const BACKLOG_MAX_BYTES: usize = 4 << 20;

/// See the module documentation.
#[derive(Debug)]
pub(super) struct CriSink {
    output: Output,
    backlog: Vec<u8>,
}

impl CriSink {
    pub(super) fn new(output: Output) -> Self {
        Self {
            output,
            backlog: Vec::new(),
        }
    }

    /// Writes bytes as log lines.
    pub(super) fn write(
        &mut self,
        time: SystemTime,
        stream: Stream,
        bytes: &[u8],
    ) -> io::Result<()> {
        if self.backlog.len() > BACKLOG_MAX_BYTES {
            self.drain()?;
        }
        format_lines(&mut self.backlog, time, stream, bytes);
        self.drain()
    }

    fn drain(&mut self) -> io::Result<()> {
        match self.output.write(&self.backlog) {
            Ok(()) => {
                self.backlog.clear();
                Ok(())
            }
            Err((written, error)) => {
                self.backlog.drain(..written);
                Err(error)
            }
        }
    }
}

impl Drop for CriSink {
    fn drop(&mut self) {
        // A last try; there is nobody left to tell.
        let _ = self.drain();
    }
}

pub(super) fn format_lines(lines: &mut Vec<u8>, time: SystemTime, stream: Stream, bytes: &[u8]) {
    let stamp = rfc3339_nanos(time);
    let name = match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr | Stream::Libos => "stderr",
    };
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        let (text, ended) = match line.strip_suffix(b"\n") {
            Some(text) => (text, true),
            None => (line, stream == Stream::Libos),
        };
        let mut rest = text;
        loop {
            let (piece, tail) = rest.split_at_checked(LINE_MAX_BYTES).unwrap_or((rest, &[]));
            let tag = if ended && tail.is_empty() { "F" } else { "P" };
            for part in [&stamp, name, tag] {
                lines.extend_from_slice(part.as_bytes());
                lines.push(b' ');
            }
            lines.extend_from_slice(piece);
            lines.push(b'\n');
            if tail.is_empty() {
                break;
            }
            rest = tail;
        }
    }
}

/// `2026-11-23T12:34:56.123456789Z`.
fn rfc3339_nanos(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil_from_days(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:09}Z",
        second / 3600,
        second / 60 % 60,
        second % 60,
        since.subsec_nanos()
    )
}

/// Gregorian date of a day since 1970-01-01, counted in years that begin in March.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // since 0000-03-01
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn lines(stream: Stream, bytes: &[u8]) -> String {
        let mut lines = Vec::new();
        let time = UNIX_EPOCH + Duration::new(1_709_210_096, 7);
        format_lines(&mut lines, time, stream, bytes);
        String::from_utf8(lines).unwrap()
    }

    #[test]
    fn dates_are_right() {
        let at = |seconds| rfc3339_nanos(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(at(951_782_399), "2000-02-28T23:59:59.000000000Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00.000000000Z");
        assert_eq!(at(4_107_542_399), "2100-02-28T23:59:59.000000000Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00.000000000Z");
        assert_eq!(at(1_798_761_599), "2026-12-31T23:59:59.000000000Z");
    }

    #[test]
    fn whole_and_partial_lines() {
        assert_eq!(
            lines(Stream::Stdout, b"one\n\ntwo"),
            "2024-02-29T12:34:56.000000007Z stdout F one\n\
             2024-02-29T12:34:56.000000007Z stdout F \n\
             2024-02-29T12:34:56.000000007Z stdout P two\n"
        );
        assert!(lines(Stream::Libos, b"x").contains(" stderr F x\n"));
        assert_eq!(lines(Stream::Stdout, b""), "");
    }

    #[test]
    fn long_lines_are_split() {
        let mut text = vec![b'a'; LINE_MAX_BYTES * 2];
        text.push(b'\n');
        let out = lines(Stream::Stderr, &text);
        let tags: Vec<&str> = out
            .lines()
            .map(|line| line.split(' ').nth(2).unwrap())
            .collect();
        assert_eq!(tags, ["P", "F"]);
    }
}
