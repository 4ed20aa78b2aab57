//! siginfo_t as Linux lays it out: 128 bytes.
//!
//! ```text
//! 0 signo  4 errno  8 code  12 —  16 address | pid, uid | timer, overrun  24 value
//! ```

use super::number::{SI_KERNEL, SI_TIMER, SI_USER};

const SIGCHLD: u32 = 17;

/// See the module documentation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct SigInfo {
    /// Signal number.
    pub signal: i32,
    /// Mostly 0.
    pub errno: i32,
    /// Where it comes from: SI_*, SEGV_*, …
    pub code: i32,
    padding: u32,
    /// The union, as words.
    pub fields: [u64; 14],
}

crate::pod!(SigInfo);

const _: () = assert!(size_of::<SigInfo>() == 128);
const _: () = assert!(core::mem::offset_of!(SigInfo, fields) == 16);

impl SigInfo {
    /// Signal and code alone.
    pub const fn new(signal: u32, code: i32) -> SigInfo {
        SigInfo {
            signal: signal as i32,
            errno: 0,
            code,
            padding: 0,
            fields: [0; 14],
        }
    }

    /// Sent by kill(2) and its relatives.
    pub const fn from_sender(signal: u32, code: i32, pid: u32, uid: u32) -> SigInfo {
        let mut info = SigInfo::new(signal, code);
        info.fields[0] = pid as u64 | (uid as u64) << 32;
        info
    }

    /// Sent from outside the guest: no sender inside.
    pub const fn from_outside(signal: u32) -> SigInfo {
        SigInfo::from_sender(signal, SI_USER, 0, 0)
    }

    /// Tells of a child's end, stop or going on: `code` is CLD_*, `status` its exit code or signal.
    pub const fn from_child(pid: u32, uid: u32, code: i32, status: i32, cpu_ns: u64) -> SigInfo {
        let mut info = SigInfo::from_sender(SIGCHLD, code, pid, uid);
        info.fields[1] = status as u32 as u64;
        // si_utime, in ticks of 10 ms.
        info.fields[2] = cpu_ns / 10_000_000;
        info
    }

    /// Sent by the kernel itself.
    pub const fn from_kernel(signal: u32) -> SigInfo {
        SigInfo::new(signal, SI_KERNEL)
    }

    /// Raised by an instruction that touched `address`.
    pub const fn from_fault(signal: u32, code: i32, address: u64) -> SigInfo {
        let mut info = SigInfo::new(signal, code);
        info.fields[0] = address;
        info
    }

    /// Tells that a file may have become ready: `code` is POLL_*, `band` events of poll(2).
    pub const fn from_file(signal: u32, code: i32, band: u64, fd: u32) -> SigInfo {
        let mut info = SigInfo::new(signal, code);
        info.fields[0] = band;
        info.fields[1] = fd as u64;
        info
    }

    /// Sent by a POSIX timer.
    pub const fn from_timer(signal: u32, timer: u32, overrun: u32, value: u64) -> SigInfo {
        let mut info = SigInfo::new(signal, SI_TIMER);
        info.fields[0] = timer as u64 | (overrun as u64) << 32;
        info.fields[1] = value;
        info
    }

    /// Signal number, as the rest of the libOS counts it.
    pub const fn number(&self) -> u32 {
        self.signal as u32
    }

    /// Faulting address, or whatever else the first word is.
    pub const fn address(&self) -> u64 {
        self.fields[0]
    }

    /// Sending process.
    pub const fn sender(&self) -> u32 {
        self.fields[0] as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mm::user::bytes_of;

    #[test]
    fn the_c_library_reads_the_same_fields() {
        let info = SigInfo::from_sender(10, SI_USER, 7, 1000);
        let mut c = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
        assert_eq!(size_of::<libc::siginfo_t>(), size_of::<SigInfo>());
        crate::mm::user::copy_out(c.as_mut_ptr().expose_provenance() as u64, bytes_of(&info))
            .unwrap();
        #[expect(unsafe_code, reason = "C unions")]
        // SAFETY: any bytes are a siginfo_t.
        let (pid, uid, code) = unsafe {
            let c = c.assume_init();
            (c.si_pid(), c.si_uid(), c.si_code)
        };
        assert_eq!((pid, uid, code), (7, 1000, 0));
        let info = SigInfo::from_fault(11, 1, 0xdead_beef);
        crate::mm::user::copy_out(c.as_mut_ptr().expose_provenance() as u64, bytes_of(&info))
            .unwrap();
        #[expect(unsafe_code, reason = "C unions")]
        // SAFETY: as above.
        let address = unsafe { c.assume_init().si_addr() };
        assert_eq!(address.addr(), 0xdead_beef);
    }
}
