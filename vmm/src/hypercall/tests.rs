//! Random calls against a host without KVM: whatever a guest asks, the answer
//! is a status, an exit or a typed fault, never a panic.

use std::fs::File;
use std::io::{Read, Seek};
use std::sync::{Arc, Mutex};

use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::proptest;
use tempfile::TempDir;
use unikiln_abi::call::{MEMORY_ADD, WAIT};
use vm_memory::MmapRegion;

use super::{ArenaSpace, Cpu, Growth, Host, Reply, StartVcpu, Started, Stdin, VcpuStart, dispatch};
use crate::alarm::Alarm;
use crate::clock::Clock;
use crate::events::Events;
use crate::layout::{ARENAS_GPA, ROOTFS_WINDOW_BYTES};
use crate::log::{Log, LogFormat, LogTarget};
use crate::memory::{Arena, Backing, GuestAddress, GuestMemory};
use crate::net::{Network, NetworkConfig};
use crate::rootfs::Rootfs;
use crate::vcpus::Vcpus;
use crate::vm::{SlotHost, VmError};
use crate::volume::{Mount, Volumes};

struct NoSlots;

impl SlotHost for NoSlots {
    fn add_slot(&self, _: u64, _: &MmapRegion, _: bool) -> Result<(), VmError> {
        Ok(())
    }
}

/// A host that has no memory slot to give.
struct Refusing;

impl SlotHost for Refusing {
    fn add_slot(&self, gpa: u64, region: &MmapRegion, _: bool) -> Result<(), VmError> {
        Err(VmError::AddSlot {
            gpa,
            bytes: region.size() as u64,
            source: kvm_ioctls::Error::new(libc::ENOSPC),
        })
    }
}

struct NoThreads;

impl StartVcpu for NoThreads {
    fn start(&self, start: VcpuStart) -> Result<(), i32> {
        if start.index == 3 {
            Err(libc::EAGAIN)
        } else {
            Ok(())
        }
    }
}

/// A volume, below `directory`.
fn volumes(directory: &TempDir) -> Volumes {
    let mount = Mount {
        source: directory.path().join("volume"),
        place: "/data".into(),
        read_only: false,
    };
    Volumes::open(&[mount]).unwrap()
}

/// A host with 4 MiB of memory that writes its log to a file.
pub(crate) fn host_with(format: LogFormat, network: &NetworkConfig, log: &File) -> Host {
    let memory = Arc::new(GuestMemory::default());
    let vcpus = Arc::new(Vcpus::new(4));
    memory.insert(Arena::new(GuestAddress(0), 4 << 20, Backing::SmallPages).unwrap());
    let rootfs_file = tempfile::tempfile().unwrap();
    rootfs_file.set_len(ROOTFS_WINDOW_BYTES * 2).unwrap();
    let target = LogTarget::Files {
        stdout: log.try_clone().unwrap(),
        stderr: log.try_clone().unwrap(),
    };
    Host {
        slots: Box::new(NoSlots),
        starter: Box::new(NoThreads),
        net: Network::new(network, Arc::clone(&memory), Arc::clone(&vcpus)),
        memory,
        growth: Mutex::new(Growth {
            arenas: ArenaSpace::new(64 << 20, 1 << 36),
            rootfs: Rootfs::new(rootfs_file, 1 << 36, ROOTFS_WINDOW_BYTES * 2),
        }),
        log: Mutex::new(Log::open(format, target).unwrap()),
        stdin: Stdin::File(File::open("/dev/zero").unwrap()),
        clock: Mutex::new(Clock::new(Some(2_000_000), 0)),
        vcpus,
        volumes: Volumes::open(&[]).unwrap(),
        started: Started::default(),
    }
}

/// The first vCPU's thread.
pub(crate) fn cpu() -> Cpu {
    Cpu {
        index: 0,
        events: Events::new(false).unwrap(),
        alarm: Alarm::new(0),
    }
}

/// Values that guests get wrong: small ones, page and arena borders, wild ones.
fn argument() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..10u64,
        (0..4096u64).prop_map(|page| page << 12),
        (0..16u64).prop_map(|part| ARENAS_GPA + (part << 20)),
        (0..8u64).prop_map(|part| part << 21),
        any::<u64>(),
        (0..64u64).prop_map(|bit| u64::MAX << bit),
    ]
}

proptest! {
    #[test]
    fn random_calls_never_panic(
        calls in proptest::collection::vec((0..36u32, proptest::array::uniform6(argument())), 1..20),
        cri in any::<bool>(),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let format = if cri { LogFormat::Cri } else { LogFormat::Raw };
        let sink = File::options().write(true).open("/dev/null").unwrap();
        let mut host = host_with(format, &NetworkConfig::default(), &sink);
        host.volumes = volumes(&directory);
        let mut cpu = cpu();
        for (number, mut args) in calls {
            if number == WAIT {
                // Anything later would really be waited for.
                args[0] = 0;
            }
            match dispatch(&host, &mut cpu, number, args) {
                Ok(Reply::Status(_)) => {}
                Ok(Reply::Exit(_)) => break,
                Err(fault) => assert!(!fault.to_string().is_empty()),
            }
            assert!(host.memory.total_bytes() <= (64 << 20) + (32 << 20));
        }
    }
}

#[test]
fn a_host_that_refuses_memory_is_named_in_the_log() {
    let mut log = tempfile::tempfile().unwrap();
    let mut host = host_with(LogFormat::Raw, &NetworkConfig::default(), &log);
    host.slots = Box::new(Refusing);
    let reply = dispatch(&host, &mut cpu(), MEMORY_ADD, [2 << 20, 0, 0, 0, 0, 0]);
    assert!(
        matches!(reply, Ok(Reply::Status(status)) if status == -i64::from(libc::ENOMEM)),
        "{reply:?}"
    );
    log.rewind().unwrap();
    let mut text = String::new();
    log.read_to_string(&mut text).unwrap();
    assert!(
        text.starts_with("unikiln: the host refuses 2097152 bytes of memory for the guest: "),
        "{text:?}"
    );
    assert!(text.contains("No space left on device"), "{text:?}");
}
