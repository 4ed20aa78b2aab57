//! `unikiln ps`: the daemon's containers.

use std::collections::HashMap;
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use clap::Args;
use unikiln_daemon::proto::ContainerState;

use super::socket::DaemonOptions;

/// Digits of an id that people read.
const ID_DIGITS: usize = 13;

/// List the containers of `unikiln serve`.
#[derive(Debug, Args)]
pub(super) struct Ps {
    /// Those that have exited, too.
    #[arg(short, long)]
    all: bool,
    /// Ids only, whole.
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    daemon: DaemonOptions,
}

impl Ps {
    pub(super) fn execute(self) -> Result<()> {
        let mut client = self.daemon.connect()?;
        let mut containers = client.containers()?;
        containers.retain(|one| self.all || one.state() == ContainerState::ContainerRunning);
        let mut out = io::stdout().lock();
        if self.quiet {
            for container in containers {
                writeln!(out, "{}", container.id)?;
            }
            return Ok(());
        }
        let pods: HashMap<_, _> = client
            .pods()?
            .into_iter()
            .map(|pod| (pod.id.clone(), pod))
            .collect();
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let mut rows = vec![
            [
                "CONTAINER",
                "NAME",
                "STATE",
                "AGE",
                "HANDLER",
                "POD",
                "IMAGE",
            ]
            .map(str::to_owned),
        ];
        for container in containers {
            let pod = pods.get(&container.pod_sandbox_id);
            let metadata = pod.and_then(|pod| pod.metadata.as_ref());
            let created = u64::try_from(container.created_at).unwrap_or(0) / 1_000_000_000;
            rows.push([
                container.id.chars().take(ID_DIGITS).collect(),
                container
                    .metadata
                    .as_ref()
                    .map_or_else(String::new, |it| it.name.clone()),
                state(container.state()).to_owned(),
                age(now.saturating_sub(created)),
                pod.map_or_else(String::new, |pod| pod.runtime_handler.clone()),
                metadata.map_or_else(String::new, |it| format!("{}/{}", it.namespace, it.name)),
                container
                    .image
                    .map_or_else(String::new, |image| image.image),
            ]);
        }
        print(&mut out, &rows)?;
        Ok(())
    }
}

/// A table: each column as wide as its widest word.
fn print<const COLUMNS: usize>(out: &mut impl Write, rows: &[[String; COLUMNS]]) -> io::Result<()> {
    let mut widths = [0; COLUMNS];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in rows {
        let cells = row.iter().zip(widths);
        let line: String = cells
            .map(|(cell, width)| format!("{cell:width$}  "))
            .collect();
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn state(state: ContainerState) -> &'static str {
    match state {
        ContainerState::ContainerCreated => "created",
        ContainerState::ContainerRunning => "running",
        ContainerState::ContainerExited => "exited",
        ContainerState::ContainerUnknown => "unknown",
    }
}

/// The largest unit that says enough.
fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest() {
        let rows = [["A", "B"], ["long", "x"]].map(|row| row.map(str::to_owned));
        let mut out = Vec::new();
        print(&mut out, &rows).expect("memory takes it");
        assert_eq!(String::from_utf8(out).expect("text"), "A     B\nlong  x\n");
    }

    #[test]
    fn ages_have_one_unit() {
        assert_eq!(
            [age(0), age(119), age(120), age(7200), age(200_000)],
            ["0s", "119s", "2m", "2h", "2d"]
        );
    }
}
