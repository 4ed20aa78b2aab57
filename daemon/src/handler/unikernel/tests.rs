//! The handler against monitors that are shell scripts: well-behaved ones, and others.

use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use tempfile::TempDir;
use unikiln_vmm::container::ENDING_VERSION;
use unikiln_vmm::spec::{Spec, SpecNetwork};

use super::*;
use crate::handler::Mount;
use crate::proto::{ContainerConfig, Int64Value, KeyValue, LinuxContainerConfig};
use crate::proto::{LinuxContainerSecurityContext, PodSandboxConfig};

/// Nothing is converted, and so many kills for lack of memory.
struct Fake(u64);

impl Support for Fake {
    fn unikernel(&self, _: &LocalImage) -> Result<PathBuf, HandlerError> {
        Err(HandlerError::Failed("no image store".to_owned()))
    }

    fn oom_kills(&self, _: &Cgroup) -> u64 {
        self.0
    }
}

struct Fixture {
    directory: TempDir,
    config: ContainerConfig,
    pod: PodSandboxConfig,
    image: LocalImage,
    cgroup: Cgroup,
    mounts: Vec<Mount>,
}

impl Fixture {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            config: ContainerConfig::default(),
            pod: PodSandboxConfig::default(),
            image: LocalImage::default(),
            cgroup: Cgroup::default(),
            mounts: Vec::new(),
        }
    }

    fn launch(&self) -> Launch<'_> {
        Launch {
            id: "c0",
            directory: self.directory.path(),
            config: &self.config,
            pod: &self.pod,
            image: &self.image,
            mounts: &self.mounts,
            network: Some(Path::new("/run/netns/pod")),
            cgroup: &self.cgroup,
            log: Some(Path::new("/logs/0.log")),
        }
    }

    /// A handler whose monitor is this script, with `$DIR` the container's directory.
    fn handler(&self, script: &str) -> UnikernelHandler {
        let path = self.directory.path().join("fake-monitor");
        let directory = self.directory.path().display();
        // A copy that is open for writing in a child of another test cannot be run (ETXTBSY).
        let unfinished = path.with_extension("new");
        std::fs::write(
            &unfinished,
            format!("#!/bin/sh\nDIR={directory}\n{script}\n"),
        )
        .unwrap();
        std::fs::set_permissions(&unfinished, PermissionsExt::from_mode(0o755)).unwrap();
        let copied = std::process::Command::new("cp")
            .arg("-p")
            .args([&unfinished, &path])
            .status();
        assert!(copied.unwrap().success());
        UnikernelHandler::new(path, Arc::new(Fake(0)))
    }
}

#[test]
fn a_monitor_that_says_so_is_a_process() {
    let fixture = Fixture::new();
    let handler = fixture.handler("echo '\"started\"'; exec sleep 60 >/dev/null");
    let launch = fixture.launch();
    let process = handler.start(&launch).unwrap();
    assert!(Monitor::find(process).is_some());
    // Its number alone is not enough.
    let other = Process {
        start_ticks: process.start_ticks + 1,
        ..process
    };
    assert!(Monitor::find(other).is_none());
    assert!(handler.signal(&launch, other, 15).is_ok(), "gone already");
    // There is no control socket: signals go by the host, as far as monitors pass them on.
    assert!(handler.signal(&launch, process, 7).is_err());
    assert!(Monitor::find(process).is_some());
    handler.signal(&launch, process, 9).unwrap();
    let ended = handler.ended(&launch, process);
    assert_eq!((ended.exit_code, ended.reason.as_str()), (137, "Error"));
    assert_eq!(ended.message, "monitor was killed");
    assert!(Monitor::find(process).is_none(), "it was reaped");
    handler.delete(&launch, Some(process)).unwrap();
    handler.delete(&launch, Some(process)).unwrap();
}

#[test]
fn the_end_is_what_the_monitor_wrote() {
    let fixture = Fixture::new();
    let handler = fixture.handler("echo '\"started\"'");
    let launch = fixture.launch();
    let process = handler.start(&launch).unwrap();
    let ending = Ending {
        version: ENDING_VERSION,
        exit_code: 3,
        reason: "Error".into(),
        message: "crash: x".into(),
        started_at_ns: Some(1),
        finished_at_ns: 1_500_000_000,
    };
    ending.write(&launch.directory.join(EXIT)).unwrap();
    let ended = handler.ended(&launch, process);
    assert_eq!((ended.exit_code, ended.message.as_str()), (3, "crash: x"));
    assert_eq!(ended.finished_at, UNIX_EPOCH + Duration::from_millis(1500));
    std::fs::write(launch.directory.join(EXIT), "{\"half").unwrap();
    let ended = handler.ended(&launch, process);
    assert_eq!(ended.exit_code, 137);
    assert!(
        ended.message.contains("cannot be read"),
        "{}",
        ended.message
    );
}

#[test]
fn kills_for_lack_of_memory_are_the_cgroups_to_tell() {
    let fixture = Fixture::new();
    let handler = UnikernelHandler::new("/none".into(), Arc::new(Fake(1)));
    let process = Process {
        pid: i32::MAX,
        start_ticks: 0,
    };
    assert_eq!(
        handler.ended(&fixture.launch(), process).reason,
        "OOMKilled"
    );
}

#[test]
fn what_prevents_a_start_is_an_error_and_leaves_no_process() {
    for (script, words) in [
        (
            "echo '{\"failed\":\"no such file\"}'; exit 125",
            "no such file",
        ),
        ("echo words >&2; exit 3", "words"),
        ("echo nonsense; exec sleep 60", "expected value"),
        ("yes x | tr -d '\\n'", "expected value"),
    ] {
        let fixture = Fixture::new();
        let handler = fixture.handler(script);
        let launch = fixture.launch();
        let start = Instant::now();
        let error = handler.start(&launch).unwrap_err().to_string();
        assert!(error.contains(words), "{script}: {error}");
        assert!(start.elapsed() < Duration::from_secs(30), "{script}");
        assert!(
            monitor::all_of(&launch.directory.join(SPEC)).is_empty(),
            "{script}"
        );
    }
    let fixture = Fixture::new();
    let handler = UnikernelHandler::new("/nonexistent/vmm".into(), Arc::new(Fake(0)));
    let error = handler.start(&fixture.launch()).unwrap_err().to_string();
    assert!(error.contains("/nonexistent/vmm"), "{error}");
}

#[test]
fn a_monitor_that_nobody_knows_is_removed() {
    let fixture = Fixture::new();
    // As the daemon left it that was killed before it wrote the process down.
    let handler = fixture.handler("echo '\"started\"'; exec >/dev/null; while :; do sleep 1; done");
    let launch = fixture.launch();
    std::fs::write(launch.directory.join(SPEC), "{}").unwrap();
    let process = handler.start(&launch).unwrap();
    // A script's words begin with its interpreter.
    let line = std::fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap();
    assert!(line.ends_with(b"/spec.json\0"));
    handler.delete(&launch, None).unwrap();
    assert!(!launch.directory.join(SPEC).exists());
    handler.delete(&launch, Some(process)).unwrap();
    assert!(Monitor::find(process).is_none());
}

#[test]
fn entering_is_not_there() {
    let fixture = Fixture::new();
    let handler = UnikernelHandler::new("/none".into(), Arc::new(Fake(0)));
    let process = Process {
        pid: 1,
        start_ticks: 0,
    };
    let refused = handler.exec_sync(&fixture.launch(), process, &["ls".into()], None);
    assert!(matches!(refused, Err(HandlerError::Unimplemented(why)) if why.contains("log")));
}

#[test]
fn a_description_says_all_of_a_container() {
    let mut fixture = Fixture::new();
    fixture.pod.hostname = "web-0".into();
    fixture.pod.annotations = [
        (describe::STRACE.to_owned(), "%file".to_owned()),
        (describe::STATS.to_owned(), "true".to_owned()),
        (describe::PROCESSES.to_owned(), "spawn".to_owned()),
    ]
    .into();
    fixture.image.env = vec!["PATH=/bin".into()];
    fixture.cgroup.directories = vec!["/cg/memory/a".into(), "/cg/pids/a".into()];
    fixture.mounts = vec![Mount {
        source: "/host".into(),
        place: "/guest".into(),
        read_only: true,
        recursive_read_only: false,
        propagated: false,
    }];
    fixture.config.command = vec!["/bin/app".into()];
    fixture.config.args = vec!["-v".into()];
    fixture.config.envs = vec![KeyValue {
        key: "A".into(),
        value: b"1=2".to_vec(),
    }];
    fixture.config.linux = Some(LinuxContainerConfig {
        resources: Some(LinuxContainerResources {
            memory_limit_in_bytes: 64 << 20,
            oom_score_adj: 900,
            unified: [("pids.max".to_owned(), "20".to_owned())].into(),
            ..Default::default()
        }),
        security_context: Some(LinuxContainerSecurityContext {
            run_as_user: Some(Int64Value { value: 1000 }),
            supplemental_groups: vec![7],
            readonly_rootfs: true,
            ..Default::default()
        }),
    });
    let spec = describe::spec(&fixture.launch(), "/a.uk".into()).unwrap();
    assert_eq!(
        (spec.command, spec.args),
        (vec!["/bin/app".to_owned()], vec!["-v".to_owned()])
    );
    assert_eq!(
        (spec.env, spec.hostname.as_str()),
        (vec!["A=1=2".to_owned()], "web-0")
    );
    assert_eq!(spec.user.as_deref(), Some("1000"));
    assert_eq!((spec.groups, spec.image_groups), (vec![7], true));
    assert!(spec.read_only_root && spec.volumes[0].read_only);
    assert_eq!(
        (spec.memory_bytes, spec.oom_score_adj),
        (64 << 20, Some(900))
    );
    assert_eq!(
        spec.network,
        SpecNetwork::Namespace("/run/netns/pod".into())
    );
    let procs = ["/cg/memory/a/cgroup.procs", "/cg/pids/a/cgroup.procs"];
    assert_eq!(spec.cgroup_procs, procs.map(PathBuf::from));
    assert_eq!(spec.strace.as_deref(), Some("%file"));
    assert_eq!(spec.processes, unikiln_vmm::config::Processes::Spawn);
    assert_eq!(spec.pids_limit, Some(20));
    assert_eq!(spec.stats, Some(unikiln_vmm::StatsFormat::Text));
    assert_eq!(spec.log.unwrap(), Path::new("/logs/0.log"));
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let with = |change: fn(&mut Fixture)| -> Result<Spec, HandlerError> {
        let mut fixture = Fixture::new();
        change(&mut fixture);
        describe::spec(&fixture.launch(), "/a.uk".into())
    };
    let env = |key: &str, value: &[u8]| KeyValue {
        key: key.to_owned(),
        value: value.to_vec(),
    };
    assert!(with(|_| {}).is_ok());
    for refused in [
        with(|it| it.pod.annotations = [(describe::STATS.to_owned(), "maybe".to_owned())].into()),
        with(|it| it.config.envs = vec![KeyValue::default()]),
        with(|it| {
            it.pod.annotations = [(describe::PROCESSES.to_owned(), "some".to_owned())].into();
        }),
    ] {
        assert!(
            matches!(refused, Err(HandlerError::Invalid(_))),
            "{refused:?}"
        );
    }
    for setting in [env("A=B", b""), env("A", b"\xff"), env("A", b"x\0y")] {
        let mut fixture = Fixture::new();
        fixture.config.envs = vec![setting];
        let refused = describe::spec(&fixture.launch(), "/a.uk".into());
        assert!(
            matches!(refused, Err(HandlerError::Invalid(_))),
            "{refused:?}"
        );
    }
}
