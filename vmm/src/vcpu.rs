//! A vCPU that starts in 64-bit ring 3, and its exits as plain values.

use std::os::fd::AsRawFd;

use kvm_bindings::{
    CpuId, KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET, Msrs, kvm_device_attr, kvm_msr_entry, kvm_regs,
    kvm_segment, kvm_sregs, kvm_xcr, kvm_xcrs,
};
use kvm_ioctls::{VcpuExit, VcpuFd};
use unikiln_abi::layout::{KERNEL_CODE_SELECTOR, USER_CODE_SELECTOR, USER_DATA_SELECTOR};

use crate::descriptor::{
    GDT_BYTES, IDT_BYTES, RFLAGS_RESERVED, TSS_LIMIT, TSS_SELECTOR, tss_address,
};
use crate::exit::RawExit;
use crate::layout::{GDT_GPA, IDT_GPA, PRIVILEGED_BASE};

const CR0: u64 = 0x8005_0033; // PG AM WP NE ET MP PE
const CR4: u64 = 0x0005_0620; // OSXSAVE FSGSBASE OSXMMEXCPT OSFXSR PAE
/// Global pages.
const CR4_PGE: u64 = 1 << 7;
const EFER: u64 = 0xd01; // NXE LMA LME SCE
/// VMX enters a guest only with a busy TSS (Intel SDM vol. 3, 27.3.1.2).
const TSS_BUSY: u8 = 11;
/// SVM takes either; an emulated SVM looks at the I/O bitmap only in this one.
const TSS_AVAILABLE: u8 = 9;
const MSR_TSC: u32 = 0x10;
const MSR_STAR: u32 = 0xc000_0081;
const MSR_LSTAR: u32 = 0xc000_0082;
const MSR_SFMASK: u32 = 0xc000_0084;
/// TF, IF, DF, NT and AC are clear in the `syscall` stub and after it.
const SFMASK: u64 = 0x4_4700;
/// `sysret` selectors; it is never used.
const STAR_SYSRET_SELECTOR: u64 = 0x23;
/// `_IOW(0xae, 0xe1, struct kvm_device_attr)`.
const KVM_SET_DEVICE_ATTR: libc::c_ulong = 0x4018_aee1;

/// Errors of this module: which register set KVM refused.
#[derive(Debug, thiserror::Error)]
#[error("KVM refuses the {what} of vCPU {index}")]
pub struct VcpuError {
    /// Registers or features.
    pub what: &'static str,
    /// vCPU.
    pub index: u32,
    /// What KVM said.
    pub source: kvm_ioctls::Error,
}

/// What a vCPU starts with.
#[derive(Clone, Copy, Debug)]
pub struct StartState {
    /// First instruction.
    pub entry: u64,
    /// Stack pointer there.
    pub stack_top: u64,
    /// RDI: guest-virtual address of the boot information.
    pub boot_info_address: u64,
    /// GS base: guest-virtual address of the vCPU block.
    pub block_address: u64,
    /// Page-table root.
    pub pml4_gpa: u64,
    /// Guest-virtual address of the `syscall` stub.
    pub syscall_stub: u64,
    /// XCR0.
    pub xcr0: u64,
    /// See [`crate::cpuid::CpuProfile::is_amd`].
    pub is_amd: bool,
}

/// One vCPU.
#[derive(Debug)]
pub struct Vcpu {
    fd: VcpuFd,
    index: u32,
    tsc_offset: u64,
    tss_type: u8,
}

impl Vcpu {
    /// Wraps a fresh vCPU and gives it its features.
    pub fn new(fd: VcpuFd, index: u32, cpuid: &CpuId) -> Result<Self, VcpuError> {
        let mut vcpu = Self {
            fd,
            index,
            tsc_offset: 0,
            tss_type: TSS_BUSY,
        };
        vcpu.fd
            .set_cpuid2(cpuid)
            .map_err(|source| vcpu.error("CPU features", source))?;
        vcpu.tsc_offset = vcpu.align_tsc();
        Ok(vcpu)
    }

    /// Sets every register that the start needs.
    pub fn set_state(&mut self, start: &StartState) -> Result<(), VcpuError> {
        let mut sregs = self
            .fd
            .get_sregs()
            .map_err(|source| self.error("system registers", source))?;
        if start.is_amd {
            self.tss_type = TSS_AVAILABLE;
        }
        fill_sregs(&mut sregs, self.index, self.tss_type, start);
        self.fd
            .set_sregs(&sregs)
            .map_err(|source| self.error("system registers", source))?;
        let xcr0 = kvm_xcr {
            value: start.xcr0,
            ..Default::default()
        };
        let mut xcrs = kvm_xcrs {
            nr_xcrs: 1,
            ..Default::default()
        };
        if let Some(first) = xcrs.xcrs.first_mut() {
            *first = xcr0;
        }
        self.fd
            .set_xcrs(&xcrs)
            .map_err(|source| self.error("XCR0", source))?;
        let star = u64::from(KERNEL_CODE_SELECTOR) << 32 | STAR_SYSRET_SELECTOR << 48;
        self.set_msrs(&[
            (MSR_STAR, star),
            (MSR_LSTAR, start.syscall_stub),
            (MSR_SFMASK, SFMASK),
        ])?;
        self.set_regs(&kvm_regs {
            rip: start.entry,
            rsp: start.stack_top,
            rdi: start.boot_info_address,
            rflags: RFLAGS_RESERVED,
            ..Default::default()
        })
    }

    fn set_msrs(&self, values: &[(u32, u64)]) -> Result<(), VcpuError> {
        let entries: Vec<kvm_msr_entry> = values
            .iter()
            .map(|&(index, data)| kvm_msr_entry {
                index,
                data,
                ..Default::default()
            })
            .collect();
        let refused = |source| self.error("model-specific registers", source);
        let msrs = Msrs::from_entries(&entries)
            .map_err(|_| refused(kvm_ioctls::Error::new(libc::E2BIG)))?;
        match self.fd.set_msrs(&msrs) {
            Ok(count) if count == values.len() => Ok(()),
            Ok(_) => Err(refused(kvm_ioctls::Error::new(libc::EINVAL))),
            Err(source) => Err(refused(source)),
        }
    }

    /// Makes guest and host TSC equal where KVM can; returns what to add to a
    /// host TSC to get the guest's.
    #[expect(unsafe_code, reason = "kvm-ioctls lacks this ioctl for x86 vCPUs")]
    fn align_tsc(&self) -> u64 {
        let offset = 0u64;
        let attribute = kvm_device_attr {
            group: KVM_VCPU_TSC_CTRL,
            attr: u64::from(KVM_VCPU_TSC_OFFSET),
            addr: (&raw const offset) as u64,
            flags: 0,
        };
        // SAFETY: the descriptor is a vCPU, and both structures live until the
        // call returns; KVM only reads them.
        let result = unsafe { libc::ioctl(self.fd.as_raw_fd(), KVM_SET_DEVICE_ATTR, &attribute) };
        if result == 0 {
            0
        } else {
            self.measure_tsc_offset()
        }
    }

    /// Kernels before 5.16 do not set the offset, so it is read instead.
    fn measure_tsc_offset(&self) -> u64 {
        let entry = kvm_msr_entry {
            index: MSR_TSC,
            ..Default::default()
        };
        let Ok(mut msrs) = Msrs::from_entries(&[entry]) else {
            return 0;
        };
        let before = crate::clock::read_tsc();
        let read = self.fd.get_msrs(&mut msrs);
        let after = crate::clock::read_tsc();
        match (read, msrs.as_slice().first()) {
            (Ok(1), Some(guest)) => {
                let host = before.wrapping_add(after.wrapping_sub(before) / 2);
                guest.data.wrapping_sub(host)
            }
            _ => 0,
        }
    }

    /// Index of this vCPU.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Forgets every translation of the guest's: changing CR4.PGE does it by
    /// definition, and KVM passes it on. No page is global, so the bit means nothing.
    pub fn flush_translations(&self) -> Result<(), VcpuError> {
        let mut sregs = self.sregs()?;
        sregs.cr4 ^= CR4_PGE;
        // SVM's KVM calls every TSS busy.
        sregs.tr.type_ = self.tss_type;
        self.fd
            .set_sregs(&sregs)
            .map_err(|source| self.error("system registers", source))
    }

    /// Guest TSC minus host TSC.
    pub fn tsc_offset(&self) -> u64 {
        self.tsc_offset
    }

    /// TSC frequency in kHz, where KVM knows it.
    pub fn tsc_khz(&self) -> Option<u32> {
        self.fd.get_tsc_khz().ok().filter(|&khz| khz > 0)
    }

    /// Runs until the next exit.
    pub fn run(&mut self) -> RawExit {
        match self.fd.run() {
            Ok(VcpuExit::IoOut(port, data)) => RawExit::PortOut {
                port,
                size_bytes: data.len(),
                value: little_endian(data),
            },
            Ok(VcpuExit::IoIn(port, data)) => RawExit::PortIn {
                port,
                size_bytes: data.len(),
            },
            Ok(VcpuExit::MmioRead(gpa, data)) => RawExit::Mmio {
                gpa,
                size_bytes: data.len(),
                is_write: false,
            },
            Ok(VcpuExit::MmioWrite(gpa, data)) => RawExit::Mmio {
                gpa,
                size_bytes: data.len(),
                is_write: true,
            },
            Ok(VcpuExit::Hlt) => RawExit::Halt,
            Ok(VcpuExit::Shutdown) => RawExit::Shutdown,
            Ok(VcpuExit::FailEntry(reason, _)) => RawExit::EntryFailed { reason },
            Ok(VcpuExit::InternalError) => self.internal_error(),
            Ok(VcpuExit::Intr) => RawExit::Interrupted,
            Ok(VcpuExit::MemoryFault { gpa, .. }) => RawExit::BackingLost { gpa: Some(gpa) },
            Ok(_) => RawExit::Other {
                reason: self.fd.get_kvm_run().exit_reason,
            },
            Err(error) => match error.errno() {
                libc::EINTR | libc::EAGAIN => RawExit::Interrupted,
                libc::EFAULT | libc::EHWPOISON => RawExit::BackingLost { gpa: None },
                errno => RawExit::RunFailed { errno },
            },
        }
    }

    #[expect(unsafe_code, reason = "kvm_run is a union")]
    fn internal_error(&mut self) -> RawExit {
        // SAFETY: KVM filled this member in for the exit reason just seen, and
        // any bytes are valid for its integers.
        let internal = unsafe { self.fd.get_kvm_run().__bindgen_anon_1.internal };
        let mut data = [0; 4];
        let count = internal.ndata as usize;
        for (slot, value) in data.iter_mut().zip(internal.data.iter().take(count)) {
            *slot = *value;
        }
        RawExit::InternalError {
            suberror: internal.suberror,
            data,
        }
    }

    /// Where a signal handler asks the next [`Vcpu::run`] to return at once.
    pub fn immediate_exit(&mut self) -> &mut u8 {
        &mut self.fd.get_kvm_run().immediate_exit
    }

    /// General registers.
    pub fn regs(&self) -> Result<kvm_regs, VcpuError> {
        self.fd
            .get_regs()
            .map_err(|source| self.error("general registers", source))
    }

    /// Sets the general registers.
    pub fn set_regs(&self, regs: &kvm_regs) -> Result<(), VcpuError> {
        self.fd
            .set_regs(regs)
            .map_err(|source| self.error("general registers", source))
    }

    /// System registers.
    pub fn sregs(&self) -> Result<kvm_sregs, VcpuError> {
        self.fd
            .get_sregs()
            .map_err(|source| self.error("system registers", source))
    }

    /// Whether an event is half delivered, so that RIP must stay.
    pub fn is_delivering(&self) -> Result<bool, VcpuError> {
        let events = self
            .fd
            .get_vcpu_events()
            .map_err(|source| self.error("events", source))?;
        Ok(events.exception.injected != 0
            || events.exception.pending != 0
            || events.interrupt.injected != 0
            || events.nmi.injected != 0)
    }

    fn error(&self, what: &'static str, source: kvm_ioctls::Error) -> VcpuError {
        VcpuError {
            what,
            index: self.index,
            source,
        }
    }
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .take(8)
        .rev()
        .fold(0, |value, &byte| value << 8 | u64::from(byte))
}

fn fill_sregs(sregs: &mut kvm_sregs, index: u32, tss_type: u8, start: &StartState) {
    let data = kvm_segment {
        limit: u32::MAX,
        selector: USER_DATA_SELECTOR,
        type_: 3,
        present: 1,
        dpl: 3,
        db: 1,
        s: 1,
        g: 1,
        ..Default::default()
    };
    sregs.cs = kvm_segment {
        selector: USER_CODE_SELECTOR,
        type_: 11,
        db: 0,
        l: 1,
        ..data
    };
    (sregs.ds, sregs.es, sregs.fs, sregs.ss) = (data, data, data, data);
    sregs.gs = kvm_segment {
        base: start.block_address,
        ..data
    };
    sregs.gdt.base = PRIVILEGED_BASE + GDT_GPA;
    sregs.gdt.limit = (GDT_BYTES - 1) as u16;
    sregs.idt.base = PRIVILEGED_BASE + IDT_GPA;
    sregs.idt.limit = (IDT_BYTES - 1) as u16;
    sregs.tr = kvm_segment {
        base: tss_address(index as usize),
        limit: TSS_LIMIT,
        selector: TSS_SELECTOR + 16 * index as u16,
        type_: tss_type,
        present: 1,
        ..Default::default()
    };
    sregs.cr0 = CR0;
    sregs.cr3 = start.pml4_gpa;
    sregs.cr4 = CR4;
    sregs.efer = EFER;
}
