//! What the guest's CPU can do.
//!
//! A hardware KVM intercepts CPUID and answers from the table it is given, so
//! the guest gets all that KVM supports. A software KVM (PVM) runs ring 3
//! natively, CPUID included: its table only tells KVM itself what to accept.
//! There the few leaves that matter come straight from the CPU, because asking
//! KVM takes 0.35 ms where CPUID itself is slow (a virtual machine).

use core::arch::x86_64::__cpuid_count;
use std::path::Path;

use kvm_bindings::{CpuId, KVM_CPUID_FLAG_SIGNIFCANT_INDEX, kvm_cpuid_entry2};

/// x87, SSE, AVX, AVX-512; states beyond (PKRU, AMX) stay off.
const XCR0_WANTED: u64 = 0xe7;
const XCR0_X87_SSE: u64 = 0x3;
const XCR0_AVX: u64 = 0x4;
const XCR0_AVX512: u64 = 0xe0;
/// Legacy area and header of an XSAVE area.
const XSAVE_BASE_BYTES: u64 = 576;
/// EBX of leaf 0: "Auth…" and "Hygo…".
const VENDORS_AMD: [u32; 2] = [0x6874_7541, 0x6f67_7948];
const ECX_XSAVE: u32 = 1 << 26;
const EBX_FSGSBASE: u32 = 1 << 0;
/// There while the PVM module is loaded.
const SOFTWARE_KVM: &str = "/sys/module/kvm_pvm";
/// Vendor, features, XSAVE states, NX, address bits.
const NATIVE_LEAVES: [(u32, u32); 7] = [
    (0, 0),
    (1, 0),
    (7, KVM_CPUID_FLAG_SIGNIFCANT_INDEX),
    (0xd, KVM_CPUID_FLAG_SIGNIFCANT_INDEX),
    // KVM believes 0x8000_0008 (address bits) only where this leaf names it;
    // without it, it takes 36 bits, and the page tables of windows higher up
    // have reserved bits: the first instruction faults for ever.
    (0x8000_0000, 0),
    (0x8000_0001, 0),
    (0x8000_0008, 0),
];
/// Where a CPU does not say.
const PHYSICAL_ADDRESS_BITS_DEFAULT: u32 = 36;

/// Errors of this module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this host's KVM offers guests no {feature}, which the libOS needs; use a CPU of 2012 or later, or enable the feature in the outer hypervisor"
)]
pub struct MissingFeature {
    /// Name of the CPU feature.
    pub feature: &'static str,
}

/// The features that the monitor and the libOS care about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuProfile {
    /// Value for XCR0.
    pub xcr0: u64,
    /// Bytes of a standard-format XSAVE area for it.
    pub xsave_bytes: u64,
    /// CPUID.1:EDX.
    pub hwcap: u32,
    /// MAXPHYADDR.
    pub physical_address_bits: u32,
    /// An AMD or Hygon CPU, so SVM rather than VMX.
    pub is_amd: bool,
}

impl CpuProfile {
    /// Reads the leaves and checks what cannot be done without.
    pub fn new(cpuid: &CpuId) -> Result<Self, MissingFeature> {
        let entries = cpuid.as_slice();
        let leaf = |function, index| find(entries, function, index);
        let features = leaf(1, 0).unwrap_or_default();
        if features.ecx & ECX_XSAVE == 0 {
            return Err(MissingFeature { feature: "XSAVE" });
        }
        if leaf(7, 0).unwrap_or_default().ebx & EBX_FSGSBASE == 0 {
            return Err(MissingFeature {
                feature: "FSGSBASE",
            });
        }
        let states = leaf(0xd, 0).unwrap_or_default();
        let xcr0 = choose_xcr0(u64::from(states.eax) | u64::from(states.edx) << 32);
        // All that the CPU has where it does not tell the states one by one.
        let area_bytes = |bit| {
            leaf(0xd, bit).map_or(u64::from(states.ecx), |state| {
                u64::from(state.ebx) + u64::from(state.eax)
            })
        };
        let xsave_bytes = (2..63)
            .filter(|bit| xcr0 & (1 << bit) != 0)
            .map(area_bytes)
            .fold(XSAVE_BASE_BYTES, u64::max);
        let physical_address_bits = leaf(0x8000_0008, 0)
            .map(|sizes| sizes.eax & 0xff)
            .filter(|&bits| bits >= PHYSICAL_ADDRESS_BITS_DEFAULT)
            .unwrap_or(PHYSICAL_ADDRESS_BITS_DEFAULT);
        Ok(Self {
            xcr0,
            xsave_bytes,
            hwcap: features.edx,
            physical_address_bits,
            is_amd: leaf(0, 0).is_some_and(|vendor| VENDORS_AMD.contains(&vendor.ebx)),
        })
    }
}

/// Whether this host's KVM runs ring 3 natively.
pub fn is_software_kvm() -> bool {
    Path::new(SOFTWARE_KVM).exists()
}

/// The table for a software KVM.
pub fn native_cpuid() -> Option<CpuId> {
    let entries = NATIVE_LEAVES.map(|(function, flags)| {
        let leaf = __cpuid_count(function, 0);
        kvm_cpuid_entry2 {
            function,
            flags,
            eax: leaf.eax,
            ebx: leaf.ebx,
            ecx: leaf.ecx,
            edx: leaf.edx,
            ..Default::default()
        }
    });
    CpuId::from_entries(&entries).ok()
}

/// The wanted states that are there; AVX-512 comes whole, and on top of AVX.
fn choose_xcr0(supported: u64) -> u64 {
    let mut xcr0 = supported & XCR0_WANTED;
    if xcr0 & XCR0_AVX512 != XCR0_AVX512 || xcr0 & XCR0_AVX == 0 {
        xcr0 &= !XCR0_AVX512;
    }
    xcr0 | XCR0_X87_SSE
}

fn find(entries: &[kvm_cpuid_entry2], function: u32, index: u32) -> Option<kvm_cpuid_entry2> {
    entries
        .iter()
        .find(|entry| entry.function == function && entry.index == index)
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(function: u32, index: u32, registers: [u32; 4]) -> kvm_cpuid_entry2 {
        let [eax, ebx, ecx, edx] = registers;
        kvm_cpuid_entry2 {
            function,
            index,
            eax,
            ebx,
            ecx,
            edx,
            ..Default::default()
        }
    }

    #[test]
    fn avx_sets_the_area_size() {
        let cpuid = CpuId::from_entries(&[
            entry(1, 0, [0, 0, ECX_XSAVE, 0x1234]),
            entry(7, 0, [0, EBX_FSGSBASE, 0, 0]),
            entry(0xd, 0, [0x207, 0, 0, 0]),
            entry(0xd, 2, [256, 576, 0, 0]),
            entry(0x8000_0008, 0, [0x3030, 0, 0, 0]),
        ])
        .unwrap();
        let profile = CpuProfile::new(&cpuid).unwrap();
        assert_eq!(profile.xcr0, 7);
        assert_eq!(profile.xsave_bytes, 832);
        assert_eq!(profile.physical_address_bits, 48);
        assert_eq!(profile.hwcap, 0x1234);
    }

    #[test]
    fn hosts_without_avx_or_with_half_of_avx512_work() {
        assert_eq!(choose_xcr0(0), 3);
        assert_eq!(choose_xcr0(0x67), 7);
        assert_eq!(choose_xcr0(0xe3), 3);
        assert_eq!(choose_xcr0(0x602e7), 0xe7);
    }

    #[test]
    fn missing_features_are_named() {
        let cpuid = CpuId::from_entries(&[entry(1, 0, [0, 0, ECX_XSAVE, 0])]).unwrap();
        let error = CpuProfile::new(&cpuid).unwrap_err();
        assert_eq!(error.feature, "FSGSBASE");
    }
}
