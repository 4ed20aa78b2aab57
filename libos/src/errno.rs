//! Linux error numbers: what a system call returns negated.
//!
//! Source: the kernel's `asm-generic/errno*.h`, through `linux-raw-sys`.

/// A Linux errno, always positive.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(u16);

/// Result of a system call or of what serves it.
pub type SysResult = Result<usize, Errno>;

macro_rules! errnos {
    ($($name:ident)*) => {
        #[allow(missing_docs, reason = "names are Linux's")]
        impl Errno {
            $(pub const $name: Errno = Errno(linux_raw_sys::errno::$name as u16);)*

            /// Linux's name, for logs.
            pub fn name(self) -> &'static str {
                let plain = self.plain();
                $(if plain == Self::$name { return stringify!($name); })*
                "E?"
            }
        }
    };
}

errnos! {
    EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT
    ENOTBLK EBUSY EEXIST EXDEV ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG
    ENOSPC ESPIPE EROFS EMLINK EPIPE EDOM ERANGE EDEADLK ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY
    ELOOP ENOMSG EIDRM ENODATA EOVERFLOW ELIBBAD EILSEQ ENOTSOCK EDESTADDRREQ EMSGSIZE EPROTOTYPE ENOPROTOOPT
    EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP EPFNOSUPPORT EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL
    ENETDOWN ENETUNREACH ECONNABORTED ECONNRESET ENOBUFS EISCONN ENOTCONN ETOOMANYREFS ETIMEDOUT ECONNREFUSED
    EHOSTUNREACH EALREADY EINPROGRESS ESTALE ECANCELED EOWNERDEAD ENOTRECOVERABLE EBADFD
}

/// Above all numbers.
const FINAL: u16 = 1 << 12;

impl Errno {
    /// EINTR of a call that does not start again, whatever the handler's flags:
    /// one with a timeout that would begin anew.
    pub const EINTR_FINAL: Errno = Errno(Errno::EINTR.0 | FINAL);

    /// The errno as the program sees it.
    pub const fn plain(self) -> Errno {
        Errno(self.0 & !FINAL)
    }

    /// The number, positive.
    pub const fn number(self) -> u16 {
        self.plain().0
    }

    /// From a monitor's negative status.
    pub const fn from_status(status: i64) -> Errno {
        Errno((-status & 0xfff) as u16)
    }

    /// What the system call returns in RAX.
    pub const fn to_return(self) -> u64 {
        (-(self.number() as i64)) as u64
    }
}

impl core::fmt::Debug for Errno {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}({})", self.name(), self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_final_eintr_looks_like_the_other() {
        assert_ne!(Errno::EINTR_FINAL, Errno::EINTR);
        assert_eq!(Errno::EINTR_FINAL.to_return(), Errno::EINTR.to_return());
        assert_eq!(Errno::EINTR_FINAL.name(), "EINTR");
    }
}
