//! The virtual machine: KVM handles and memory slots.
//!
//! No interrupt controller, no timer, no device: [`Vm::new`] is one open and
//! one ioctl. Slots are only ever added.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use kvm_bindings::{CpuId, KVM_MAX_CPUID_ENTRIES, KVM_MEM_READONLY, kvm_userspace_memory_region};
use kvm_ioctls::{Kvm, VcpuFd, VmFd};
use vm_memory::MmapRegion;

use crate::cpuid::{is_software_kvm, native_cpuid};
use crate::layout::page_align_up;

/// Errors of this module.
#[derive(Debug, thiserror::Error)]
pub enum VmError {
    /// There is no KVM.
    #[error(
        "there is no /dev/kvm on this machine; load a KVM module (`modprobe kvm_amd` or `kvm_intel`), enable virtualisation in the firmware, or pass the device into this container"
    )]
    NoDevice,
    /// KVM is not for this user.
    #[error(
        "no permission to open /dev/kvm; add this user to the group that owns it (`ls -l /dev/kvm`), usually `kvm`"
    )]
    NoPermission,
    /// Another failure to open it.
    #[error("cannot open /dev/kvm")]
    OpenDevice {
        /// What the system said.
        source: io::Error,
    },
    /// KVM made no virtual machine.
    #[error(
        "KVM cannot create a virtual machine; another hypervisor may be using the CPU's virtualisation"
    )]
    CreateVm {
        /// What KVM said.
        source: kvm_ioctls::Error,
    },
    /// KVM made no vCPU.
    #[error("KVM cannot create a vCPU")]
    CreateVcpu {
        /// What KVM said.
        source: kvm_ioctls::Error,
    },
    /// KVM told no CPU features.
    #[error("KVM does not tell which CPU features it supports")]
    SupportedCpuid {
        /// What KVM said.
        source: kvm_ioctls::Error,
    },
    /// KVM refused a memory slot.
    #[error("KVM refuses a memory slot of {bytes} bytes at guest-physical {gpa:#x}")]
    AddSlot {
        /// First guest-physical address.
        gpa: u64,
        /// Bytes.
        bytes: u64,
        /// What KVM said.
        source: kvm_ioctls::Error,
    },
}

/// Maps host memory into guest-physical space. KVM does it; tests pretend.
pub trait SlotHost: Send + Sync {
    /// Adds a slot that shows `region` at `gpa`. The region must outlive the guest.
    fn add_slot(&self, gpa: u64, region: &MmapRegion, read_only: bool) -> Result<(), VmError>;
}

/// KVM handles of one guest.
#[derive(Debug)]
pub struct Vm {
    kvm: Kvm,
    fd: VmFd,
    next_slot: AtomicU32,
}

impl Vm {
    /// Opens /dev/kvm and creates an empty virtual machine.
    pub fn new() -> Result<Self, VmError> {
        let kvm = Kvm::new().map_err(|error| match error.errno() {
            libc::ENOENT | libc::ENODEV | libc::ENXIO => VmError::NoDevice,
            libc::EACCES | libc::EPERM => VmError::NoPermission,
            errno => VmError::OpenDevice {
                source: io::Error::from_raw_os_error(errno),
            },
        })?;
        let fd = kvm
            .create_vm()
            .map_err(|source| VmError::CreateVm { source })?;
        Ok(Self {
            kvm,
            fd,
            next_slot: AtomicU32::new(0),
        })
    }

    /// CPU features that the guest has.
    pub fn guest_cpuid(&self) -> Result<CpuId, VmError> {
        if is_software_kvm()
            && let Some(cpuid) = native_cpuid()
        {
            return Ok(cpuid);
        }
        self.kvm
            .get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)
            .map_err(|source| VmError::SupportedCpuid { source })
    }

    /// Creates a vCPU.
    pub fn create_vcpu(&self, index: u32) -> Result<VcpuFd, VmError> {
        self.fd
            .create_vcpu(u64::from(index))
            .map_err(|source| VmError::CreateVcpu { source })
    }
}

impl SlotHost for Vm {
    #[expect(unsafe_code, reason = "KVM takes a host address")]
    fn add_slot(&self, gpa: u64, region: &MmapRegion, read_only: bool) -> Result<(), VmError> {
        let bytes = page_align_up(region.size() as u64);
        let slot = kvm_userspace_memory_region {
            slot: self.next_slot.fetch_add(1, Ordering::Relaxed),
            flags: if read_only { KVM_MEM_READONLY } else { 0 },
            guest_phys_addr: gpa,
            memory_size: bytes,
            userspace_addr: region.as_ptr() as u64,
        };
        // SAFETY: the slot covers exactly the pages of a mapping that the caller
        // keeps until the virtual machine is gone (`Machine` drops the vCPU and
        // the VM before its memory), and the monitor reaches those bytes only by
        // volatile copies, so the guest's writes alias no Rust reference.
        unsafe { self.fd.set_user_memory_region(slot) }.map_err(|source| VmError::AddSlot {
            gpa,
            bytes,
            source,
        })
    }
}

impl SlotHost for Arc<Vm> {
    fn add_slot(&self, gpa: u64, region: &MmapRegion, read_only: bool) -> Result<(), VmError> {
        Vm::add_slot(self, gpa, region, read_only)
    }
}
