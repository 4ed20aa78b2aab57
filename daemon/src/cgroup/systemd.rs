//! The systemd driver: pods are slices, containers are scopes, both transient units that the
//! manager is asked for over the system bus (org.freedesktop.systemd1(5)).
//!
//! A scope needs a process from its start to its end, but a container's cgroup is there before
//! its program and is read after it. So a *holder*, `sleep`, is in the scope from the first to
//! the last. The container is in a cgroup of its own below the scope, `main`: the holder is not
//! among its processes, and is not ended with them.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::bus::{BusError, Connection};
use super::error::CgroupError;
use super::limits::{self, Limits};
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

    /// Makes a scope below the slice that `pod_path` ends with, and gives its holder's number.
    pub fn start_scope(
        &self,
        unit: &str,
        pod_path: &str,
        limits: Vec<Property>,
    ) -> Result<u32, CgroupError> {
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
            // Else a share of the machine's tasks by default, which nobody asked for.
            ("TasksMax", Value::U64(u64::MAX)),
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
        started.map(|()| holder)
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
        // Its end would be the scope's, in the middle of a container's life.
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

/// The limits that count at the scope: its weight, among the pod's other scopes. All others are
/// written to the container's own cgroup below it, which systemd leaves alone.
pub fn properties(limits: &Limits, is_unified: bool) -> Vec<Property> {
    let weight = limits.cpu_shares.map(|shares| match is_unified {
        true => ("CPUWeight", Value::U64(limits::weight(shares))),
        false => ("CPUShares", Value::U64(shares)),
    });
    weight.into_iter().collect()
}

#[cfg(test)]
mod tests;
