//! From a configuration to a guest that is ready to run.
//!
//! Everything that can fail without KVM is done first, the checksum of libOS and
//! manifest included: 0.1 ms of every boot, against running something that
//! nobody built. The order after that is the fastest of those measured.

use std::io::IsTerminal;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex, OnceLock, Weak};

use unikiln_abi::boot::{
    BOOT_MAGIC, BootInfo, FLAG_FLUSH_REACHES_ALL, FLAG_NO_FORK, FLAG_NO_NEW_PRIVILEGES,
    FLAG_NO_PROCESSES, FLAG_ROOT_READ_ONLY, FLAG_STDERR_TTY, FLAG_STDIN, FLAG_STDIN_TTY,
    FLAG_STDOUT_TTY, FLAG_STRACE, FLAG_TELL_START, FLAG_USER_GROUPS, FLAG_USER_HOME, GROUPS_MAX,
};
use unikiln_abi::layout::DIRECT_MAP_BASE;
use unikiln_abi::strace::CallSet;
use unikiln_abi::{ABI_VERSION, PAGE_BYTES, VCPUS_MAX};
use unikiln_unikernel::{UnikernelFile, User};

use super::cpu::CpuThread;
use super::start::Starter;
use super::{Machine, Shared, remote};
use crate::alarm::Alarm;
use crate::clock::{Clock, read_tsc};
use crate::config::{Config, Processes};
use crate::cpuid::{CpuProfile, is_software_kvm};
use crate::error::Error;
use crate::events::Events;
use crate::hypercall::{ArenaSpace, Cpu, Growth, Host, Started, Stdin, fill_entropy};
use crate::layout::{
    BOOT_INFO_GPA, ROOTFS_WINDOW_BYTES, SHARED_PAGE_GPA, VCPU_BLOCKS_GPA, ceiling, rootfs_gpa,
};
use crate::loader::{Image, Plan, load, plan};
use crate::log::{Log, LogFormat, LogTarget};
use crate::memory::{Arena, Backing, GuestAddress, GuestMemory};
use crate::net::{Mode, Network, join_namespace};
use crate::program::Program;
use crate::refusal::{Refusal, refusal};
use crate::rootfs::{Rootfs, read_ahead};
use crate::stats::Recorder;
use crate::vcpu::{StartState, Vcpu};
use crate::vcpus::Vcpus;
use crate::vm::{SlotHost, Vm};
use crate::volume::{Volumes, Watcher};

impl Machine {
    /// Builds a guest.
    pub fn boot(config: Config) -> Result<Self, Error> {
        let mut recorder = Recorder::new(config.start_tsc.unwrap_or_else(read_tsc));
        recorder.mark("config");
        config.network.check()?;
        if let Mode::Namespace(path) = &config.network.mode {
            join_namespace(path)?;
        }
        read_ahead(&config.unikernel);
        let unikernel = UnikernelFile::open(&config.unikernel)?;
        recorder.mark("file_open");
        unikernel.verify_head()?;
        recorder.mark("file_verified");
        let mut volumes = Volumes::open(&config.volumes)?;
        let program = Program::new(unikernel.manifest(), &config, &volumes)?;
        if let Some(refusal) = refusal(unikernel.manifest(), &config) {
            return Err(refuse(refusal, config));
        }
        let needed_bytes = unikernel.manifest().minimum_memory_bytes;
        if config.memory_bytes < needed_bytes {
            return Err(Error::MemoryTooSmall {
                limit_bytes: config.memory_bytes,
                needed_bytes,
            });
        }
        if !(1..=VCPUS_MAX as u32).contains(&config.cpus) {
            return Err(Error::Cpus { cpus: config.cpus });
        }
        let strings_bytes = program.strings.len() as u64;
        let plan = plan(unikernel.segments(), strings_bytes, config.cpus)?;
        let groups = groups(&unikernel.manifest().user, &config)?;
        let flags = stream_flags(&config) | flush_flags() | container_flags(&config, &program);
        let mut log = Log::open(config.log_format, config.log_target)?;
        for note in &config.notes {
            // As with every line of the log: one that cannot be written is lost.
            let _ = log.write_text(note);
        }
        let stdin = config.stdin.open().map_err(Error::Stdin)?;

        let vm = Arc::new(Vm::new()?);
        recorder.mark("vm");
        let cpuid = vm.guest_cpuid()?;
        let cpu = CpuProfile::new(&cpuid)?;
        let mut vcpu = Vcpu::new(vm.create_vcpu(0)?, 0, &cpuid)?;
        recorder.mark("vcpu");

        let rootfs_bytes = unikernel.rootfs_bytes();
        let ceiling_bytes = ceiling(cpu.physical_address_bits);
        let rootfs_gpa = rootfs_gpa(ceiling_bytes, rootfs_bytes, config.memory_bytes)?;
        let arena = Arena::new(GuestAddress(0), plan.arena_bytes, Backing::SmallPages)?;
        arena.populate(plan.populated_gpa)?;
        vm.add_slot(0, arena.region(), false)?;
        let memory = Arc::new(GuestMemory::default());
        memory.insert(arena);
        let file = unikernel
            .file()
            .try_clone()
            .map_err(crate::rootfs::RootfsError::Clone)?;
        let mut rootfs = Rootfs::new(file, rootfs_gpa, rootfs_bytes);
        rootfs.map(0, &vm)?;
        recorder.mark("memory");

        let clock = Clock::new(vcpu.tsc_khz(), vcpu.tsc_offset());
        let mut boot_info = boot_info(&plan, &unikernel, &program, &cpu);
        boot_info.flags = flags;
        boot_info.group_count = groups.len() as u32;
        for (slot, group) in boot_info.groups.iter_mut().zip(groups) {
            *slot = group;
        }
        boot_info.strace = config.strace.unwrap_or(CallSet::NONE);
        boot_info.rootfs_gpa = rootfs_gpa;
        boot_info.pids_max = config.pids_limit.unwrap_or(0);
        boot_info.memory_limit_bytes = config.memory_bytes;
        boot_info.tsc_khz = clock.tsc_khz();
        boot_info.start_tsc = recorder.start_tsc().wrapping_add(clock.tsc_offset());
        fill_entropy(&mut boot_info.entropy).map_err(Error::Entropy)?;
        let image = Image {
            unikernel: &unikernel,
            rootfs_gpa,
            strings: &program.strings,
            boot_info,
        };
        let syscall_stub = load(&memory, &plan, &image)?;
        recorder.mark("loaded");
        let state = StartState {
            entry: unikernel.entry(),
            stack_top: unikernel.libos_header().boot_stack_top,
            boot_info_address: DIRECT_MAP_BASE + BOOT_INFO_GPA,
            block_address: DIRECT_MAP_BASE + VCPU_BLOCKS_GPA,
            pml4_gpa: plan.pml4_gpa,
            syscall_stub,
            xcr0: cpu.xcr0,
            is_amd: cpu.is_amd,
        };
        vcpu.set_state(&state)?;
        let events = Events::new(config.forward_signals)?;
        let attachment = events.attach(vcpu.immediate_exit());
        let shared_page = memory.slice(SHARED_PAGE_GPA, PAGE_BYTES)?;
        // The shared page was just found, so its fields are there.
        let _ = clock.publish(&shared_page);
        remote::set_memory_limit(&shared_page, config.memory_bytes);
        let now_ns = clock.guest_now_ns();
        let vcpus = Arc::new(Vcpus::new(config.cpus));
        vcpus.claim(0);
        let net = Network::new(&config.network, Arc::clone(&memory), Arc::clone(&vcpus));
        recorder.mark("ready");
        let whole = Arc::new(OnceLock::<Weak<Shared>>::new());
        let guest = Arc::clone(&whole);
        volumes.watcher = Watcher::new(Arc::new(move || {
            let shared = guest.get().and_then(Weak::upgrade);
            shared
                .map(|shared| shared.host.announce_volume_events())
                .is_some()
        }));
        let shared = Arc::new(Shared {
            host: Host {
                slots: Box::new(Arc::clone(&vm)),
                starter: Box::new(Starter {
                    shared: Arc::clone(&whole),
                    vm,
                    cpuid,
                    state,
                }),
                memory,
                growth: Mutex::new(Growth {
                    arenas: ArenaSpace::new(config.memory_bytes, rootfs_gpa),
                    rootfs,
                }),
                log: Mutex::new(log),
                stdin,
                clock: Mutex::new(clock),
                vcpus,
                net,
                volumes,
                started: Started::new(config.on_start),
            },
            unikernel,
            call_pages_gpa: plan.call_pages_gpa,
            recorder: Mutex::new(recorder),
            memory_bytes: AtomicU64::new(config.memory_bytes),
            needed_bytes,
            log_stats: OnceLock::new(),
            end: Mutex::new(None),
            thread_ended: Condvar::new(),
        });
        // The cell is new, so it takes the value.
        let _ = whole.set(Arc::downgrade(&shared));
        Ok(Self {
            first: CpuThread {
                _attachment: attachment,
                vcpu,
                cpu: Cpu {
                    index: 0,
                    events,
                    alarm: Alarm::new(now_ns),
                },
                shared: Arc::clone(&shared),
            },
            shared,
        })
    }
}

/// Tells the log why there is no guest.
fn refuse(refusal: Refusal, config: Config) -> Error {
    match Log::open(config.log_format, config.log_target) {
        Ok(mut log) => {
            // As with every line of the log: one that cannot be written is lost.
            let _ = log.write_text(&format!("unikiln: {}\n", refusal.summary));
            Error::CannotRun { refusal }
        }
        Err(error) => error.into(),
    }
}

/// Under shadow paging KVM itself flushes all vCPUs where the guest flushes one.
fn flush_flags() -> u32 {
    if is_software_kvm() {
        FLAG_FLUSH_REACHES_ALL
    } else {
        0
    }
}

/// What file, plan and CPU say; the rest is zero.
fn boot_info(
    plan: &Plan,
    unikernel: &UnikernelFile,
    program: &Program,
    cpu: &CpuProfile,
) -> BootInfo {
    let user = &unikernel.manifest().user;
    BootInfo {
        magic: BOOT_MAGIC,
        abi_version: ABI_VERSION,
        info_bytes: size_of::<BootInfo>() as u32,
        vcpu_count: plan.vcpu_count,
        flags: 0,
        boot_arena_gpa: 0,
        boot_arena_bytes: plan.arena_bytes,
        boot_free_gpa: plan.free_gpa,
        boot_populated_gpa: plan.populated_gpa,
        pml4_gpa: plan.pml4_gpa,
        vcpu_blocks_gpa: VCPU_BLOCKS_GPA,
        call_pages_gpa: plan.call_pages_gpa,
        shared_page_gpa: SHARED_PAGE_GPA,
        rootfs_gpa: 0,
        rootfs_bytes: unikernel.rootfs_bytes(),
        rootfs_window_bytes: ROOTFS_WINDOW_BYTES,
        rootfs_windows_mapped: 1,
        memory_limit_bytes: 0,
        strings_gpa: plan.strings_gpa,
        strings_bytes: program.strings.len() as u64,
        argc: program.argc,
        envc: program.envc,
        uid: user.uid,
        gid: user.gid,
        group_count: 0,
        hwcap: cpu.hwcap,
        groups: [0; GROUPS_MAX],
        xcr0: cpu.xcr0,
        xsave_bytes: cpu.xsave_bytes,
        tsc_khz: 0,
        entropy: [0; 64],
        start_tsc: 0,
        strace: CallSet::NONE,
        volume_count: program.volume_count,
        pids_max: 0,
    }
}

/// Flags for what a container is.
fn container_flags(config: &Config, program: &Program) -> u32 {
    let flag = |is_set, flag| if is_set { flag } else { 0 };
    flag(config.strace.is_some(), FLAG_STRACE)
        | flag(config.read_only_root, FLAG_ROOT_READ_ONLY)
        | flag(config.no_new_privileges, FLAG_NO_NEW_PRIVILEGES)
        | flag(config.processes == Processes::Deny, FLAG_NO_PROCESSES)
        | flag(config.processes != Processes::Fork, FLAG_NO_FORK)
        | flag(config.on_start.is_some(), FLAG_TELL_START)
        | flag(config.image_groups, FLAG_USER_GROUPS)
        | flag(program.lacks_home, FLAG_USER_HOME)
}

/// Supplementary groups: those of the image's user, where it runs the program and keeps
/// them, and the added ones. A named user's own are the guest's to find.
fn groups(user: &User, config: &Config) -> Result<Vec<u32>, Error> {
    let mut groups = match (&config.user, config.image_groups) {
        (None, true) => user.groups.clone(),
        (None, false) => vec![user.gid],
        (Some(_), _) => Vec::new(),
    };
    for group in &config.groups {
        if !groups.contains(group) {
            groups.push(*group);
        }
    }
    // The image's own are counted by the builder.
    if groups.len() > GROUPS_MAX {
        return Err(Error::TooManyGroups {
            count: groups.len(),
        });
    }
    Ok(groups)
}

fn stream_flags(config: &Config) -> u32 {
    let stdin = match &config.stdin {
        Stdin::Empty => 0,
        Stdin::Inherit if std::io::stdin().is_terminal() => FLAG_STDIN | FLAG_STDIN_TTY,
        Stdin::File(file) if file.is_terminal() => FLAG_STDIN | FLAG_STDIN_TTY,
        Stdin::Inherit | Stdin::File(_) => FLAG_STDIN,
    };
    // Only bytes that reach a terminal as they are make the guest see one.
    let (stdout, stderr) = match (&config.log_target, config.log_format) {
        (LogTarget::Inherit, LogFormat::Raw) => (
            std::io::stdout().is_terminal(),
            std::io::stderr().is_terminal(),
        ),
        _ => (false, false),
    };
    stdin | if stdout { FLAG_STDOUT_TTY } else { 0 } | if stderr { FLAG_STDERR_TTY } else { 0 }
}
