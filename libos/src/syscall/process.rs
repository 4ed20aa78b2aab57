//! Calls that start and end the process.

use crate::errno::{Errno, SysResult};
use crate::mm::user;
use crate::process::{self, exec};

/// Most bytes of one argument string (Linux's MAX_ARG_STRLEN).
const ARGUMENT_MAX_BYTES: usize = 128 << 10;
/// Most bytes of all argument strings together.
const ARGUMENTS_MAX_BYTES: usize = 2 << 20;

/// exit(2): the thread ends; with the last one, the process.
pub fn exit(args: &[u64; 6]) -> SysResult {
    process::threads::exit(args[0] as i32)
}

/// exit_group(2).
pub fn exit_group(args: &[u64; 6]) -> SysResult {
    process::exit_group(args[0] as i32)
}

/// execve(2): does not return when it succeeds.
pub fn execve(args: &[u64; 6]) -> SysResult {
    let path = user::read_cstr(args[0], 4096)?;
    let arguments = read_strings(args[1])?;
    let environment = read_strings(args[2])?;
    exec::replace(&path, arguments, environment)
}

fn read_strings(mut address: u64) -> Result<alloc::vec::Vec<alloc::vec::Vec<u8>>, Errno> {
    let mut strings = alloc::vec::Vec::new();
    let mut total = 0;
    if address == 0 {
        return Ok(strings);
    }
    loop {
        let pointer: u64 = user::read(address)?;
        if pointer == 0 {
            return Ok(strings);
        }
        let text = user::read_cstr(pointer, ARGUMENT_MAX_BYTES).map_err(|errno| {
            if errno == Errno::ENAMETOOLONG {
                Errno::E2BIG
            } else {
                errno
            }
        })?;
        total += text.len() + 9;
        if total > ARGUMENTS_MAX_BYTES {
            return Err(Errno::E2BIG);
        }
        strings.push(text);
        address = address.checked_add(8).ok_or(Errno::EFAULT)?;
    }
}
