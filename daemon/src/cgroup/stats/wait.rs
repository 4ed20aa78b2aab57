//! Devices: what was read and written, and the time lost with waiting.

use std::path::Path;

use crate::cgroup::error::CgroupError;
use crate::cgroup::file::Text;

/// Block devices, all of them together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IoStats {
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub written_bytes: u64,
    /// Reads.
    pub reads: u64,
    /// Writes.
    pub writes: u64,
}

/// Pressure of each kind; none: the kernel does not tell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PressureStats {
    /// Waiting for a CPU.
    pub cpu: Option<Pressure>,
    /// Waiting for memory.
    pub memory: Option<Pressure>,
    /// Waiting for devices.
    pub io: Option<Pressure>,
}

/// A file as `cpu.pressure`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pressure {
    /// Some task waited.
    pub some: Stall,
    /// All of them did.
    pub full: Stall,
}

/// How much of the time was lost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stall {
    /// Percent of the last 10 s.
    pub avg10: f64,
    /// Of the last minute.
    pub avg60: f64,
    /// Of the last five.
    pub avg300: f64,
    /// Microseconds so far.
    pub total_us: u64,
}

/// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6`, a line for each device.
pub(super) fn io_v2(directory: &Path) -> Result<Option<IoStats>, CgroupError> {
    let Some(text) = Text::read(&directory.join("io.stat"))? else {
        return Ok(None);
    };
    let mut io = IoStats::default();
    for (line, content) in text.lines() {
        for word in content.split_whitespace().skip(1) {
            let (key, value) = word
                .split_once('=')
                .ok_or_else(|| text.malformed(line, format!("{word:?} is no `KEY=NUMBER`")))?;
            let sum = match key {
                "rbytes" => &mut io.read_bytes,
                "wbytes" => &mut io.written_bytes,
                "rios" => &mut io.reads,
                "wios" => &mut io.writes,
                _ => continue,
            };
            *sum = sum.saturating_add(text.number(line, value)?);
        }
    }
    Ok(Some(io))
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, and the same with `full`.
pub(super) fn pressure(file: &Path) -> Result<Option<Pressure>, CgroupError> {
    // EOPNOTSUPP: switched off at boot.
    let text = match Text::read(file) {
        Err(CgroupError::Read { source, .. })
            if source.raw_os_error() == Some(rustix::io::Errno::OPNOTSUPP.raw_os_error()) =>
        {
            None
        }
        read => read?,
    };
    text.as_ref().map(parse_pressure).transpose()
}

fn parse_pressure(text: &Text) -> Result<Pressure, CgroupError> {
    let mut pressure = Pressure::default();
    for (line, content) in text.lines() {
        let mut words = content.split_whitespace();
        let stall = match words.next() {
            Some("some") => &mut pressure.some,
            Some("full") => &mut pressure.full,
            _ => return Err(text.malformed(line, "it is neither `some` nor `full`")),
        };
        for word in words {
            let wrong = || text.malformed(line, format!("{word:?} is no `KEY=NUMBER`"));
            let (key, value) = word.split_once('=').ok_or_else(wrong)?;
            let percent = || value.parse::<f64>().map_err(|_| wrong());
            match key {
                "avg10" => stall.avg10 = percent()?,
                "avg60" => stall.avg60 = percent()?,
                "avg300" => stall.avg300 = percent()?,
                "total" => stall.total_us = text.number(line, value)?,
                _ => {}
            }
        }
    }
    Ok(pressure)
}
