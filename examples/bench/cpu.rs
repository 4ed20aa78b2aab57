//! CPU time of both sides of a load: of a server with all that it started, and of its
//! clients, which are this process and the programs that it runs.
//!
//! Threads that live are read from their scheduler statistics, in nanoseconds; a monitor
//! has its vCPUs, the time in the guest and its I/O thread among them. Clients that have
//! ended are counted by the kernel in ticks.

use std::fs;

use anyhow::{Context, Result};

use crate::measure::Samples;
use crate::report::Row;

/// Ticks of /proc/PID/stat in a second, on x86-64 for ever.
const TICKS: f64 = 100.0;

/// Seconds of CPU time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    server: f64,
    client: f64,
}

impl Used {
    /// The figures of [`rows`], in ms for each `size` of what `count` was of.
    pub(crate) fn figures(self, count: f64, size: f64) -> [f64; 3] {
        [self.server, self.client, self.server + self.client]
            .map(|seconds| seconds * 1e3 / count * size)
    }
}

/// Runs a load on the server with this process number.
pub(crate) fn of<T>(server: u32, load: impl FnOnce() -> Result<T>) -> Result<(T, Used)> {
    let now = || Ok::<_, anyhow::Error>((tree(server)?, client()?));
    let before = now()?;
    let outcome = load()?;
    let after = now()?;
    let used = Used {
        server: after.0 - before.0,
        client: after.1 - before.1,
    };
    Ok((outcome, used))
}

/// A line for each of three figures, from `first` on, of both sides.
pub(crate) fn rows(what: &str, ours: &[Samples], theirs: &[Samples], first: usize) -> Vec<Row> {
    ["server", "client", "both"]
        .into_iter()
        .zip(first..)
        .filter_map(|(side, figure)| {
            let (ours, theirs) = (ours.get(figure)?, theirs.get(figure)?);
            let what = format!("{what}, {side}");
            Some(Row::cost(
                what,
                "ms",
                ours.clone(),
                "native",
                theirs.clone(),
            ))
        })
        .collect()
}

/// Seconds of a process that runs and of all that it started and that run.
fn tree(pid: u32) -> Result<f64> {
    let mut seconds = 0.0;
    let tasks = format!("/proc/{pid}/task");
    for task in fs::read_dir(&tasks).with_context(|| format!("cannot read {tasks}"))? {
        let task = task.context("cannot list threads")?.path();
        let read = |name: &str| {
            let file = task.join(name);
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
        };
        seconds += nanoseconds(&read("schedstat")?)? / 1e9;
        for child in read("children")?.split_whitespace() {
            seconds += tree(child.parse().context("a process has a number")?)?;
        }
    }
    Ok(seconds)
}

/// The first number of /proc/PID/task/TID/schedstat.
fn nanoseconds(schedstat: &str) -> Result<f64> {
    let first = schedstat.split_whitespace().next();
    first
        .and_then(|number| number.parse().ok())
        .with_context(|| format!("no time in {schedstat:?}"))
}

/// Seconds of the thread that runs this, and of programs that ended.
fn client() -> Result<f64> {
    let read = |file: &str| fs::read_to_string(file).with_context(|| format!("cannot read {file}"));
    let own = nanoseconds(&read("/proc/thread-self/schedstat")?)? / 1e9;
    Ok(own + ended(&read("/proc/self/stat")?)?)
}

/// `cutime` and `cstime` of /proc/PID/stat (proc(5)): its 16th and 17th field.
fn ended(stat: &str) -> Result<f64> {
    // The second field is a name in parentheses, which may hold anything.
    let rest = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks = rest.split_whitespace().skip(13).take(2);
    let ticks: Vec<f64> = ticks.map_while(|word| word.parse().ok()).collect();
    match ticks[..] {
        [user, system] => Ok((user + system) / TICKS),
        _ => anyhow::bail!("no times in {stat:?}"),
    }
}
