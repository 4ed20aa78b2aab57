//! Containers under an OCI runtime (`runc`, `crun`, `runsc`, `kata-runtime`), each
//! supervised by conmon.
//!
//! ```text
//! create: layers ─► overlayfs ─► config.json
//! start:  conmon ─► RUNTIME create ─► RUNTIME start; conmon writes the log, then the exit code
//! delete: RUNTIME delete ─► unmount ─► remove
//! ```
//!
//! The process that stands for a container is its conmon: when it is gone, the exit code is
//! on the disk. One that was killed leaves none; then the container is killed, too, for
//! nobody would write its log.
//!
//! | module | what it owns |
//! |---|---|
//! | [`spec`] | `config.json` |
//! | [`user`] | who the program runs as |
//! | [`rootfs`] | the overlay mount |
//! | [`runtime`] | the runtime's command line |
//! | [`conmon`] | conmon, its files and pipes |
//! | [`exec`], [`console`] | commands in a container, and their terminals |
//! | [`attach`] | the streams of a container's own program |
//! | [`pod`] | what the containers of a pod share |
//! | [`error`] | what the caller is told |
//! | [`output`], [`process`] | what a program writes; what `/proc` says |

mod attach;
mod conmon;
mod console;
mod error;
mod exec;
mod output;
mod pod;
mod process;
mod rootfs;
mod runtime;
mod spec;
mod user;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use oci_spec::runtime::{Spec, User};

use self::attach::attach;
use self::conmon::{Conmon, Start};
use self::error::{failed, must_run};
use self::exec::Exec;
use self::pod::Pods;
use self::rootfs::{Rootfs, RootfsError};
use self::runtime::Runtime;
use self::user::Wanted;
use super::streams::{Attached, Streams};
use super::{Ended, ExecOutput, GuestStats, Handler, HandlerError, Launch, Process};
use crate::image::layers::Layers;
use crate::proto::{LinuxContainerResources, LinuxContainerUser, NamespaceMode};

/// How long conmon may take to end after its container.
const END_LIMIT: Duration = Duration::from_secs(10);
/// Most bytes of `/etc/passwd` and `/etc/group`.
const USERS_MAX_BYTES: u64 = 4 << 20;
/// Exit code of a container whose end nobody saw.
const UNKNOWN_CODE: i32 = 255;
const SIGKILL: i32 = 9;

/// A handler's settings.
#[derive(Clone, Debug)]
pub struct OciOptions {
    /// The runtime's program, such as `/usr/sbin/runc`.
    pub runtime: PathBuf,
    /// Where the runtime keeps its state, such as `/run/unikiln/runc`: a directory that is
    /// empty after a reboot, and this handler's alone.
    pub runtime_root: PathBuf,
    /// conmon's program, such as `/usr/bin/conmon`.
    pub conmon: PathBuf,
}

/// See the module documentation.
#[derive(Debug)]
pub struct OciHandler {
    runtime: Runtime,
    conmon: PathBuf,
    layers: Layers,
    pods: Pods,
    has_recursive_read_only: OnceLock<bool>,
}

impl OciHandler {
    /// With a runtime that need not be there before the first container.
    pub fn new(options: OciOptions, layers: Layers) -> Self {
        Self {
            pods: Pods::below(&options.runtime_root),
            runtime: Runtime {
                path: options.runtime,
                root: options.runtime_root.join("state"),
            },
            conmon: options.conmon,
            layers,
            has_recursive_read_only: OnceLock::new(),
        }
    }

    /// Whether the runtime makes a mount read-only with all below it (CRI's
    /// `RuntimeHandlerFeatures.recursive_read_only_mounts`).
    fn knows_recursive_read_only(&self) -> bool {
        *self.has_recursive_read_only.get_or_init(|| {
            let features = self.runtime.features().unwrap_or_default();
            let options = features.mount_options().iter().flatten();
            options.into_iter().any(|option| option == "rro")
        })
    }

    fn conmon<'a>(&'a self, launch: &Launch<'a>) -> Conmon<'a> {
        Conmon {
            program: &self.conmon,
            id: launch.id,
            directory: launch.directory,
        }
    }

    /// All that decides what the container can be given, the pod's namespaces apart.
    fn host(&self) -> spec::Host {
        spec::Host {
            has_recursive_read_only: self.knows_recursive_read_only(),
            lowest_oom_score: spec::resources::lowest_oom_score(),
            ..spec::Host::default()
        }
    }

    /// Joins the namespaces that the container shares with others.
    fn join(&self, launch: &Launch<'_>, host: &mut spec::Host) -> Result<(), HandlerError> {
        let security = spec::security_of(launch);
        let namespaces = spec::Namespaces::of(&security)?;
        let has_options = security.namespace_options.is_some();
        match namespaces.pid() {
            NamespaceMode::Target => {
                let target = launch.directory.with_file_name(namespaces.target());
                let conmon = Conmon {
                    program: &self.conmon,
                    id: namespaces.target(),
                    directory: &target,
                };
                let pid = conmon.container_pid().filter(|_| conmon.find().is_some());
                let pid = pid.ok_or_else(|| {
                    let id = namespaces.target();
                    HandlerError::Precondition(format!("target container {id:?} does not run"))
                })?;
                host.pid_namespace = Some(format!("/proc/{pid}/ns/pid").into());
            }
            // Who says nothing of namespaces asks for none to be shared.
            NamespaceMode::Pod if has_options => {
                host.pid_namespace = Some(self.pods.processes(launch)?);
            }
            NamespaceMode::Pod | NamespaceMode::Container | NamespaceMode::Node => {}
        }
        if namespaces.ipc() == NamespaceMode::Pod {
            let shared = self.pods.ipc(launch)?;
            host.ipc_namespace = Some(shared.namespace);
            host.shared_memory = Some(shared.memory);
        }
        Ok(())
    }

    /// Directories that the image declares as volumes, and the container mounts nothing on.
    fn volumes(
        launch: &Launch<'_>,
        rootfs: &Rootfs,
        is_read_only: bool,
    ) -> Result<Vec<(PathBuf, PathBuf)>, RootfsError> {
        let mut volumes = Vec::new();
        // Where all of the root can be written, they are a part of it.
        for volume in launch.image.volumes.iter().filter(|_| is_read_only) {
            let place = Path::new("/").join(volume);
            if !launch.mounts.iter().any(|mount| mount.place == place) {
                let directory = rootfs.make_directory(&place)?;
                volumes.push((place, directory));
            }
        }
        Ok(volumes)
    }

    /// Waits for the end of conmon, whose container is gone.
    fn end(conmon: &Conmon<'_>) {
        if let Some(process) = conmon.find()
            && !process::wait_end(process, END_LIMIT)
        {
            process::kill_family(&[process.pid]);
            process::wait_end(process, END_LIMIT);
        }
    }

    /// Whether the program sees processes that are not its own, so that they do not end
    /// with it.
    fn shares_processes(launch: &Launch<'_>) -> bool {
        let security = spec::security_of(launch);
        let options = security.namespace_options.unwrap_or_default();
        options.pid != i32::from(NamespaceMode::Container)
    }

    /// Whether memory ran out: conmon may have ended before it saw it.
    fn ran_out_of_memory(&self, launch: &Launch<'_>) -> bool {
        let count = |path: &Path| {
            let files = ["memory.oom_control", "memory.events"];
            let texts = files
                .iter()
                .filter_map(|file| fs::read_to_string(path.join(file)).ok());
            let mut counts = texts.filter_map(|text| {
                let line = text
                    .lines()
                    .find_map(|line| line.strip_prefix("oom_kill "))?;
                line.trim().parse::<u64>().ok()
            });
            counts.next().unwrap_or(0)
        };
        let directories = launch.cgroup.directories.iter();
        self.conmon(launch).saw_oom() || directories.map(|path| count(path)).any(|kills| kills > 0)
    }
}

impl Handler for OciHandler {
    fn create(&self, launch: &Launch<'_>) -> Result<(), HandlerError> {
        self.runtime.check()?;
        let rootfs = Rootfs::of(launch.directory);
        let mut host = self.host();
        // What can be refused is, before anything takes time.
        let security = spec::security_of(launch);
        let wanted = Wanted::of(&security, launch.image)?;
        spec::build(launch, &host, rootfs.path(), User::default())?;
        let layers = self
            .layers
            .take(launch.image, launch.id)
            .map_err(|error| failed("unpack the image", launch, &error))?;
        rootfs.remove()?;
        rootfs.mount(&layers)?;
        let passwd = rootfs.read("etc/passwd", USERS_MAX_BYTES)?;
        let group = rootfs.read("etc/group", USERS_MAX_BYTES)?;
        let user = wanted.resolve(&passwd, &group)?;
        host.volumes = Self::volumes(launch, &rootfs, security.readonly_rootfs)?;
        self.join(launch, &mut host)?;
        let spec = spec::build(launch, &host, rootfs.path(), user)?;
        spec.save(self.conmon(launch).bundle().join("config.json"))
            .map_err(|error| failed("write config.json", launch, &error))
    }

    fn start(&self, launch: &Launch<'_>) -> Result<Process, HandlerError> {
        self.runtime.check()?;
        let conmon = self.conmon(launch);
        conmon.clear()?;
        let config = launch.config;
        let start = Start {
            runtime: &self.runtime,
            log: launch.log,
            has_terminal: config.tty,
            has_stdin: config.stdin,
            stdin_once: config.stdin_once,
            // systemd's way of a path: SLICE:PREFIX:NAME.
            is_systemd: launch.cgroup.path.split(':').count() == 3,
        };
        let started = conmon.create(&start).map_err(HandlerError::from);
        let started = started.and_then(|process| {
            self.runtime.start(launch.id)?;
            Ok(process)
        });
        if started.is_err() {
            // The error that is told is the first one; what is left is `delete`'s, too.
            if let Err(error) = self.stop(launch) {
                tracing::warn!(container = launch.id, %error, "a container that did not start is left");
            }
        }
        started
    }

    fn signal(
        &self,
        launch: &Launch<'_>,
        process: Process,
        signal: i32,
    ) -> Result<(), HandlerError> {
        let all = signal == SIGKILL && Self::shares_processes(launch);
        let Err(error) = self.runtime.kill(launch.id, signal, all) else {
            return Ok(());
        };
        let conmon = self.conmon(launch);
        let program = conmon.container_pid().and_then(process::identify);
        // It may have ended meanwhile, and conmon be about to say so.
        if program.is_none() || conmon.exit().is_some() || !process::is_alive(process) {
            return Ok(());
        }
        Err(error.into())
    }

    fn ended(&self, launch: &Launch<'_>, _process: Process) -> Ended {
        let conmon = self.conmon(launch);
        let Some((exit_code, finished_at)) = conmon.exit() else {
            // Whatever is left of it writes to nobody.
            if let Err(error) = self.runtime.kill(launch.id, SIGKILL, true) {
                tracing::debug!(container = launch.id, %error, "nothing was left to kill");
            }
            return Ended {
                exit_code: UNKNOWN_CODE,
                reason: "Unknown".to_owned(),
                message: "conmon ended before its container did; the container was killed"
                    .to_owned(),
                finished_at: SystemTime::now(),
            };
        };
        let reason = match exit_code {
            0 => "Completed",
            _ if self.ran_out_of_memory(launch) => "OOMKilled",
            _ => "Error",
        };
        Ended {
            exit_code,
            reason: reason.to_owned(),
            message: String::new(),
            finished_at,
        }
    }

    fn reopen_log(&self, launch: &Launch<'_>, process: Process) -> Result<(), HandlerError> {
        match launch.log {
            Some(log) => Ok(self.conmon(launch).reopen(process, log)?),
            None => Ok(()),
        }
    }

    fn update(
        &self,
        launch: &Launch<'_>,
        _process: Process,
        resources: &LinuxContainerResources,
    ) -> Result<(), HandlerError> {
        let resources = spec::resources::translate(resources, launch.cgroup)?;
        Ok(self.runtime.update(launch.id, &resources)?)
    }

    fn stats(
        &self,
        _launch: &Launch<'_>,
        _process: Process,
    ) -> Result<Option<GuestStats>, HandlerError> {
        Ok(None)
    }

    fn exec_sync(
        &self,
        launch: &Launch<'_>,
        process: Process,
        command: &[String],
        timeout: Option<Duration>,
    ) -> Result<ExecOutput, HandlerError> {
        must_run(launch, process)?;
        let bundle = self.conmon(launch).bundle();
        self.command(launch, &bundle, command).sync(timeout)
    }

    fn has_streams(&self) -> Result<(), HandlerError> {
        Ok(())
    }

    fn exec(
        &self,
        launch: &Launch<'_>,
        process: Process,
        command: &[String],
        streams: Streams,
    ) -> Result<Attached, HandlerError> {
        must_run(launch, process)?;
        let bundle = self.conmon(launch).bundle();
        self.command(launch, &bundle, command).streams(streams)
    }

    fn attach(
        &self,
        launch: &Launch<'_>,
        process: Process,
        streams: Streams,
    ) -> Result<Attached, HandlerError> {
        must_run(launch, process)?;
        Ok(attach(&self.conmon(launch), launch.config, streams)?)
    }

    fn delete(&self, launch: &Launch<'_>, _process: Option<Process>) -> Result<(), HandlerError> {
        self.stop(launch)?;
        Rootfs::of(launch.directory).remove()?;
        self.pods.leave(launch)?;
        let conmon = self.conmon(launch);
        rootfs::remove_directory(&conmon.bundle())?;
        conmon.clear()?;
        self.layers
            .release(launch.id)
            .map_err(|error| failed("release the layers", launch, &error))
    }

    fn upper_directory(&self, launch: &Launch<'_>) -> Option<PathBuf> {
        Some(Rootfs::of(launch.directory).upper())
    }

    fn user(&self, launch: &Launch<'_>) -> Option<LinuxContainerUser> {
        let spec = Spec::load(self.conmon(launch).bundle().join("config.json")).ok()?;
        let user = spec.process().as_ref()?.user().clone();
        let groups = user.additional_gids().clone().unwrap_or_default();
        Some(LinuxContainerUser {
            uid: user.uid().into(),
            gid: user.gid().into(),
            supplemental_groups: groups.into_iter().map(i64::from).collect(),
        })
    }

    fn overhead_bytes(&self, _limit_bytes: u64) -> u64 {
        // conmon is not in the container's cgroup.
        0
    }

    fn has_recursive_read_only(&self) -> bool {
        self.knows_recursive_read_only()
    }

    fn sweep(&self, directory: &Path, is_known: &dyn Fn(&str) -> bool) -> Result<(), HandlerError> {
        let unknown = |path: &Path| -> Vec<String> {
            let entries = path.read_dir().into_iter().flatten().flatten();
            let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
            names.filter(|name| !is_known(name)).collect()
        };
        for id in unknown(&self.runtime.root) {
            self.runtime.delete(&id)?;
        }
        for id in unknown(directory) {
            let directory = directory.join(&id);
            if !directory.is_dir() {
                continue;
            }
            let conmon = Conmon {
                program: &self.conmon,
                id: &id,
                directory: &directory,
            };
            Self::end(&conmon);
            Rootfs::of(&directory).remove()?;
            rootfs::remove_directory(&conmon.bundle())?;
            conmon.clear()?;
        }
        self.pods.sweep(is_known)?;
        let store = |error: unikiln_builder::StoreError| HandlerError::Failed(error.to_string());
        for id in self.layers.containers().map_err(store)? {
            if !is_known(&id) {
                self.layers.release(&id).map_err(store)?;
            }
        }
        Ok(())
    }
}

impl OciHandler {
    fn command<'a>(
        &'a self,
        launch: &Launch<'a>,
        bundle: &'a Path,
        command: &'a [String],
    ) -> Exec<'a> {
        Exec {
            runtime: &self.runtime,
            id: launch.id,
            bundle,
            command,
        }
    }

    /// Ends all processes of a container: its own, and conmon.
    fn stop(&self, launch: &Launch<'_>) -> Result<(), HandlerError> {
        self.runtime.delete(launch.id)?;
        Self::end(&self.conmon(launch));
        Ok(())
    }
}
