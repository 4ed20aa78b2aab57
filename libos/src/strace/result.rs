//! What a call gave: a number, an address, or an error in words.

use core::fmt::Write;

use super::kind::Call;
use super::number;
use super::output::Output;
use super::signatures::{Shape, Signature};
use crate::errno::Errno;
use crate::signal;

/// Shows the result of a call that has returned.
pub fn show(out: &mut Output, number: u64, signature: &Signature, call: &Call<'_>) {
    match call.result {
        None => out.push('?'),
        Some(Err(Errno::EINTR)) if signal::restarts(number) => {
            out.push_str("? ERESTARTSYS (To be restarted if SA_RESTART is set)");
        }
        Some(Err(errno)) => error(out, errno),
        Some(Ok(value)) => success(out, value as u64, signature, call),
    }
}

/// Shows what is in RAX after a call whose number is not known.
pub fn show_raw(out: &mut Output, rax: u64) {
    match rax as i64 {
        status @ -4095..=-1 => error(out, Errno::from_status(status)),
        value => number::signed(out, value),
    }
}

fn error(out: &mut Output, errno: Errno) {
    let _ = write!(out, "-1 {}", errno.name());
    if let Some(words) = message(errno.plain()) {
        let _ = write!(out, " ({words})");
    }
}

fn success(out: &mut Output, value: u64, signature: &Signature, call: &Call<'_>) {
    match signature.result {
        Shape::Decimal | Shape::Fd => number::signed(out, value as i64),
        Shape::Hex => number::hex(out, value),
        Shape::Octal => number::mode(out, value as u32),
        Shape::Special(show) => show(out, call, 0),
    }
}

macro_rules! messages {
    ($($errno:ident $words:literal)*) => {
        /// An error in the C library's words.
        fn message(errno: Errno) -> Option<&'static str> {
            match errno {
                $(Errno::$errno => Some($words),)*
                _ => None,
            }
        }

        #[cfg(test)]
        const KNOWN: &[Errno] = &[$(Errno::$errno),*];
    };
}

messages! {
    EPERM "Operation not permitted"
    ENOENT "No such file or directory"
    ESRCH "No such process"
    EINTR "Interrupted system call"
    EIO "Input/output error"
    ENXIO "No such device or address"
    E2BIG "Argument list too long"
    ENOEXEC "Exec format error"
    EBADF "Bad file descriptor"
    ECHILD "No child processes"
    EAGAIN "Resource temporarily unavailable"
    ENOMEM "Cannot allocate memory"
    EACCES "Permission denied"
    EFAULT "Bad address"
    ENOTBLK "Block device required"
    EBUSY "Device or resource busy"
    EEXIST "File exists"
    EXDEV "Invalid cross-device link"
    ENODEV "No such device"
    ENOTDIR "Not a directory"
    EISDIR "Is a directory"
    EINVAL "Invalid argument"
    ENFILE "Too many open files in system"
    EMFILE "Too many open files"
    ENOTTY "Inappropriate ioctl for device"
    ETXTBSY "Text file busy"
    EFBIG "File too large"
    ENOSPC "No space left on device"
    ESPIPE "Illegal seek"
    EROFS "Read-only file system"
    EMLINK "Too many links"
    EPIPE "Broken pipe"
    EDOM "Numerical argument out of domain"
    ERANGE "Numerical result out of range"
    EDEADLK "Resource deadlock avoided"
    ENAMETOOLONG "File name too long"
    ENOLCK "No locks available"
    ENOSYS "Function not implemented"
    ENOTEMPTY "Directory not empty"
    ELOOP "Too many levels of symbolic links"
    ENOMSG "No message of desired type"
    EIDRM "Identifier removed"
    ENODATA "No data available"
    EOVERFLOW "Value too large for defined data type"
    ELIBBAD "Accessing a corrupted shared library"
    EILSEQ "Invalid or incomplete multibyte or wide character"
    ENOTSOCK "Socket operation on non-socket"
    EDESTADDRREQ "Destination address required"
    EMSGSIZE "Message too long"
    EPROTOTYPE "Protocol wrong type for socket"
    ENOPROTOOPT "Protocol not available"
    EPROTONOSUPPORT "Protocol not supported"
    ESOCKTNOSUPPORT "Socket type not supported"
    EOPNOTSUPP "Operation not supported"
    EPFNOSUPPORT "Protocol family not supported"
    EAFNOSUPPORT "Address family not supported by protocol"
    EADDRINUSE "Address already in use"
    EADDRNOTAVAIL "Cannot assign requested address"
    ENETDOWN "Network is down"
    ENETUNREACH "Network is unreachable"
    ECONNABORTED "Software caused connection abort"
    ECONNRESET "Connection reset by peer"
    ENOBUFS "No buffer space available"
    EISCONN "Transport endpoint is already connected"
    ENOTCONN "Transport endpoint is not connected"
    ETOOMANYREFS "Too many references: cannot splice"
    ETIMEDOUT "Connection timed out"
    ECONNREFUSED "Connection refused"
    EHOSTUNREACH "No route to host"
    EALREADY "Operation already in progress"
    EINPROGRESS "Operation now in progress"
    ESTALE "Stale file handle"
    ECANCELED "Operation canceled"
    EOWNERDEAD "Owner died"
    ENOTRECOVERABLE "State not recoverable"
    EBADFD "File descriptor in bad state"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_c_librarys() {
        for errno in KNOWN {
            let theirs = std::io::Error::from_raw_os_error(errno.number().into()).to_string();
            let theirs = theirs.split(" (os error").next().unwrap();
            assert_eq!(message(*errno), Some(theirs), "{errno:?}");
        }
    }

    #[test]
    fn every_error_with_a_name_has_words() {
        for number in 1..134 {
            let errno = Errno::from_status(-number);
            assert_eq!(errno.name() == "E?", message(errno).is_none(), "{errno:?}");
        }
    }
}
