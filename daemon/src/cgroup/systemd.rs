//! The systemd driver: pods are slices, containers are scopes, both transient units that the
//! manager is asked for over the system bus (org.freedesktop.systemd1(5)).
//!
//! A scope needs a process from its start to its end, but a container's cgroup is there before
//! its program and is read after it. So a *holder*, `sleep`, is in it from the first to the last;
//! it is out of the OOM killer's reach and is left out of the container's processes.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::bus::{BusError, Connection};
use super::error::CgroupError;
use super::limits::{self, Bound, DEFAULT_PERIOD_US, Limits};
use super::path;
use super::wire::{Call, Property, Reader, Value, Writer};

const MANAGER: Call<'_> = Call {
    destination: "org.freedesktop.systemd1",
    path: "/org/freedesktop/systemd1",
    interface: "org.freedesktop.systemd1.Manager",
    member: "",
    signature: "",
};

/// What a holder is called in its command line.
const HOLDER: &str = "unikiln-holder";

/// How long systemd may take for one request.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The manager, behind its bus.
#[derive(Debug)]
pub struct Systemd {
    socket: PathBuf,
    timeout: Duration,
    /// Holders that this daemon started: its children, to be waited for.
    holders: Mutex<Vec<Child>>,
}

impl Systemd {
    /// Checks that there is a bus at `socket`.
    pub fn open(socket: &Path) -> Result<Self, CgroupError> {
        let systemd = Self {
            socket: socket.to_owned(),
            timeout: TIMEOUT,
            holders: Mutex::new(Vec::new()),
        };
        systemd.ask("connect for", "system.slice", |_| Ok(()))?;
        Ok(systemd)
    }

    /// Makes a slice, if it is not there.
    pub fn start_slice(&self, unit: &str) -> Result<(), CgroupError> {
        let mut properties = vec![
            ("Description", Value::Text(format!("Unikiln pod {unit}"))),
            ("DefaultDependencies", Value::Bool(false)),
        ];
        properties.extend(accounting());
        let started = self.ask("start the slice", unit, |bus| start(bus, unit, &properties));
        match started {
            Err(CgroupError::Systemd { source, .. }) if source.is_remote("UnitExists") => Ok(()),
            started => started,
        }
    }

    /// Makes a scope below the slice that `pod_path` ends with.
    pub fn start_scope(
        &self,
        unit: &str,
        pod_path: &str,
        limits: Vec<Property>,
    ) -> Result<(), CgroupError> {
        let holder = self.start_holder(unit)?;
        let mut properties = vec![
            (
                "Description",
                Value::Text(format!("Unikiln container {unit}")),
            ),
            ("DefaultDependencies", Value::Bool(false)),
            // Below it and its limits are ours.
            ("Delegate", Value::Bool(true)),
            ("PIDs", Value::Numbers(vec![holder])),
            // Gone, however it ended.
            ("CollectMode", Value::Text("inactive-or-failed".to_owned())),
        ];
        let slice = path::unit(pod_path);
        if !slice.is_empty() {
            properties.push(("Slice", Value::Text(slice.to_owned())));
        }
        properties.extend(accounting());
        properties.extend(limits);
        let started = self.ask("start the scope", unit, |bus| {
            match start(bus, unit, &properties) {
                // What is left of an earlier scope of that name that failed.
                Err(error) if error.is_remote("UnitExists") => {
                    reset_failed(bus, unit)?;
                    start(bus, unit, &properties)
                }
                started => started,
            }
        });
        if started.is_err() {
            self.end_holder(holder);
        }
        started
    }

    /// Sets properties of a unit until it ends.
    pub fn set(&self, unit: &str, properties: &[Property]) -> Result<(), CgroupError> {
        if properties.is_empty() {
            return Ok(());
        }
        self.ask("set properties of", unit, |bus| {
            let call = Call {
                member: "SetUnitProperties",
                signature: "sba(sv)",
                ..MANAGER
            };
            let mut body = Writer::default();
            body.text(unit);
            body.bool(true);
            body.properties(properties);
            bus.call(&call, body).map(|_| ())
        })
    }

    /// Ends a unit with all of its processes; nothing where it is gone.
    pub fn stop(&self, unit: &str) -> Result<(), CgroupError> {
        let stopped = self.ask("stop", unit, |bus| {
            let call = Call {
                member: "StopUnit",
                signature: "ss",
                ..MANAGER
            };
            let mut body = Writer::default();
            body.text(unit);
            body.text("replace");
            run_job(bus, &call, body)?;
            reset_failed(bus, unit)
        });
        self.reap_holders();
        match stopped {
            Err(CgroupError::Systemd { source, .. }) if source.is_remote("NoSuchUnit") => Ok(()),
            stopped => stopped,
        }
    }

    fn ask(
        &self,
        action: &'static str,
        unit: &str,
        work: impl FnOnce(&mut Connection) -> Result<(), BusError>,
    ) -> Result<(), CgroupError> {
        Connection::open(&self.socket, self.timeout)
            .and_then(|mut bus| work(&mut bus))
            .map_err(|source| CgroupError::Systemd {
                action,
                unit: unit.to_owned(),
                source,
            })
    }

    fn start_holder(&self, unit: &str) -> Result<u32, CgroupError> {
        self.reap_holders();
        let failed = |source: io::Error| CgroupError::Holder {
            unit: unit.to_owned(),
            source,
        };
        let child = Command::new("sleep")
            .arg0(HOLDER)
            .arg("infinity")
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let holder = child.id();
        self.holders().push(child);
        // Else memory.oom.group would end the scope, and with it the count of kills.
        if let Err(error) = fs::write(format!("/proc/{holder}/oom_score_adj"), "-1000") {
            tracing::debug!(%unit, %error, "holder not out of the OOM killer's reach");
        }
        Ok(holder)
    }

    fn end_holder(&self, pid: u32) {
        for child in self.holders().iter_mut().filter(|child| child.id() == pid) {
            if let Err(error) = child.kill() {
                tracing::warn!(pid, %error, "holder not ended");
            }
        }
        self.reap_holders();
    }

    fn reap_holders(&self) {
        self.holders()
            .retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    }

    fn holders(&self) -> std::sync::MutexGuard<'_, Vec<Child>> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a process is a holder.
pub fn is_holder(pid: i32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(HOLDER.as_bytes()))
}

/// Starts a transient unit and waits for it.
fn start(bus: &mut Connection, unit: &str, properties: &[Property]) -> Result<(), BusError> {
    let call = Call {
        member: "StartTransientUnit",
        signature: "ssa(sv)a(sa(sv))",
        ..MANAGER
    };
    let mut body = Writer::default();
    body.text(unit);
    body.text("replace");
    body.properties(properties);
    body.array(8, |_| {});
    run_job(bus, &call, body)
}

fn run_job(bus: &mut Connection, call: &Call<'_>, body: Writer) -> Result<(), BusError> {
    // systemd sends signals over the bus once somebody subscribed.
    bus.watch_jobs()?;
    let subscribe = Call {
        member: "Subscribe",
        ..MANAGER
    };
    bus.call(&subscribe, Writer::default())?;
    let reply = bus.call(call, body)?;
    if reply.signature != "o" {
        return Err(BusError::Malformed("the answer names no job"));
    }
    let job = Reader::new(&reply.body).text()?;
    bus.job_end(job)
}

fn reset_failed(bus: &mut Connection, unit: &str) -> Result<(), BusError> {
    let call = Call {
        member: "ResetFailedUnit",
        signature: "s",
        ..MANAGER
    };
    let mut body = Writer::default();
    body.text(unit);
    match bus.call(&call, body) {
        Err(error) if error.is_remote("NoSuchUnit") => Ok(()),
        reset => reset.map(|_| ()),
    }
}

fn accounting() -> impl Iterator<Item = Property> {
    const NAMES: [&str; 4] = [
        "CPUAccounting",
        "IOAccounting",
        "MemoryAccounting",
        "TasksAccounting",
    ];
    NAMES.into_iter().map(|name| (name, Value::Bool(true)))
}

/// Limits as properties, so that systemd sets the same when it sets its units anew.
/// `period_now_us` is the period where a request has a quota alone.
pub fn properties(limits: &Limits, is_unified: bool, period_now_us: Option<u64>) -> Vec<Property> {
    let mut properties = Vec::new();
    let mut push = |name, value| properties.push((name, value));
    if let Some(memory) = limits.memory {
        let name = if is_unified {
            "MemoryMax"
        } else {
            "MemoryLimit"
        };
        push(name, Value::U64(infinity_or(memory)));
    }
    if let Some(both) = limits.memory_and_swap.filter(|_| is_unified) {
        let memory = limits.memory.unwrap_or(Bound::Unlimited);
        let swap = limits::swap_alone(memory, both);
        push("MemorySwapMax", Value::U64(infinity_or(swap)));
    }
    if let Some(shares) = limits.cpu_shares {
        if is_unified {
            push("CPUWeight", Value::U64(limits::weight(shares)));
        } else {
            push("CPUShares", Value::U64(shares));
        }
    }
    if let Some(period) = limits.cpu_period_us {
        push("CPUQuotaPeriodUSec", Value::U64(period));
    }
    if let Some(quota) = limits.cpu_quota_us {
        let period = limits.cpu_period_us.or(period_now_us);
        let per_second = match quota {
            Bound::Unlimited => u64::MAX,
            Bound::At(quota) => per_second_us(quota, period.unwrap_or(DEFAULT_PERIOD_US)),
        };
        push("CPUQuotaPerSecUSec", Value::U64(per_second));
    }
    let lists = [
        ("AllowedCPUs", &limits.cpus),
        ("AllowedMemoryNodes", &limits.memory_nodes),
    ];
    for (name, list) in lists {
        if let Some(list) = list.as_ref().filter(|_| is_unified) {
            push(name, Value::Bytes(bits(list)));
        }
    }
    if let Some(tasks) = limits.unified.get("pids.max") {
        let tasks = tasks.trim().parse().unwrap_or(u64::MAX);
        push("TasksMax", Value::U64(tasks));
    }
    properties
}

fn infinity_or(bound: Bound) -> u64 {
    match bound {
        Bound::Unlimited => u64::MAX,
        Bound::At(value) => value,
    }
}

/// systemd keeps whole percents of a second: rounded up, so that it never gives less.
fn per_second_us(quota_us: u64, period_us: u64) -> u64 {
    const PERCENT_US: u64 = 10_000;
    let per_second = quota_us.saturating_mul(1_000_000) / period_us.max(1);
    per_second
        .checked_next_multiple_of(PERCENT_US)
        .unwrap_or(u64::MAX - 1)
}

/// `0-2,7` as bits, the lowest first. The list was checked when the request came.
fn bits(list: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for range in list.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>()) else {
            continue;
        };
        for number in first..=last {
            let at = usize::from(number / 8);
            if bytes.len() <= at {
                bytes.resize(at + 1, 0);
            }
            bytes[at] |= 1 << (number % 8);
        }
    }
    bytes
}

#[cfg(test)]
mod tests;
