//! The initial stack of a program: strings at the top, then auxv, environment
//! and argument pointers, argc at the stack pointer (x86-64 psABI, 3.4.1).
//!
//! ```text
//! top    8 zero bytes, AT_EXECFN string
//!        environment strings, argument strings
//!        "x86_64", 16 random bytes
//!        padding to 16
//!        auxv … AT_NULL
//!        envp … NULL
//!        argv … NULL
//! rsp →  argc                          (16-byte aligned)
//! ```

use alloc::vec::Vec;

use crate::dev;
use crate::errno::Errno;
use crate::mm::user;

/// What goes on the stack.
pub struct Contents<'a> {
    /// Path of the program as it was named.
    pub execfn: &'a [u8],
    /// Arguments.
    pub arguments: &'a [Vec<u8>],
    /// Environment.
    pub environment: &'a [Vec<u8>],
    /// Entries but those that point into the stack.
    pub auxv: &'a [(u64, u64)],
    /// For AT_RANDOM.
    pub random: [u8; 16],
}

/// Where the parts are.
pub struct Layout {
    /// Initial stack pointer.
    pub pointer: u64,
    /// Argument strings: start, end.
    pub arguments: (u64, u64),
    /// Environment strings: start, end.
    pub environment: (u64, u64),
    /// The auxiliary vector.
    pub auxv: Vec<u8>,
}

/// Most bytes between the vectors and the strings, as in Linux. The gap is
/// random, so that no program meets the same unlucky cache aliases in every run
/// (CPython's main loop ran at half speed in one environment of two).
const GAP_MAX_BYTES: u64 = 8 << 10;

const AT_NULL: u64 = 0;
const AT_PLATFORM: u64 = 15;
const AT_RANDOM: u64 = 25;
const AT_EXECFN: u64 = 31;

/// Builds the image in one buffer and copies it below `top`. The pages must be mapped.
///
/// # Errors
/// E2BIG when it does not fit into `room` bytes; EFAULT.
pub fn build(top: u64, room: u64, contents: &Contents<'_>) -> Result<Layout, Errno> {
    // Strings first, in the order of their addresses.
    let mut strings = Vec::new();
    let random_at = strings.len();
    strings.extend_from_slice(&contents.random);
    let platform_at = strings.len();
    strings.extend_from_slice(b"x86_64\0");
    let push_all = |list: &[Vec<u8>], strings: &mut Vec<u8>| -> Vec<usize> {
        (list.iter())
            .map(|text| {
                let at = strings.len();
                strings.extend_from_slice(text);
                strings.push(0);
                at
            })
            .collect()
    };
    let arguments_at = strings.len();
    let arguments = push_all(contents.arguments, &mut strings);
    let environment_at = strings.len();
    let environment = push_all(contents.environment, &mut strings);
    let execfn_at = strings.len();
    strings.extend_from_slice(contents.execfn);
    strings.push(0);
    strings.extend_from_slice(&[0; 8]);

    let words = 1 + arguments.len() + 1 + environment.len() + 1 + 2 * (contents.auxv.len() + 4);
    let total = (strings.len() + words * 8) as u64 + 32 + GAP_MAX_BYTES;
    if total > room / 4 * 3 {
        return Err(Errno::E2BIG);
    }
    let base = top - strings.len() as u64;
    let gap = dev::random::below(GAP_MAX_BYTES);
    let pointer = (base - words as u64 * 8 - gap) & !15;

    let mut image: Vec<u8> = Vec::with_capacity((top - pointer) as usize);
    let word = |value: u64, image: &mut Vec<u8>| image.extend_from_slice(&value.to_le_bytes());
    word(arguments.len() as u64, &mut image);
    for at in &arguments {
        word(base + *at as u64, &mut image);
    }
    word(0, &mut image);
    for at in &environment {
        word(base + *at as u64, &mut image);
    }
    word(0, &mut image);
    let auxv_from = image.len();
    let own = [
        (AT_RANDOM, base + random_at as u64),
        (AT_PLATFORM, base + platform_at as u64),
        (AT_EXECFN, base + execfn_at as u64),
        (AT_NULL, 0),
    ];
    for (kind, value) in contents.auxv.iter().chain(&own) {
        word(*kind, &mut image);
        word(*value, &mut image);
    }
    let auxv = image[auxv_from..].to_vec();
    image.resize((base - pointer) as usize, 0);
    image.extend_from_slice(&strings);
    user::copy_out(pointer, &image)?;
    Ok(Layout {
        pointer,
        arguments: (base + arguments_at as u64, base + environment_at as u64),
        environment: (base + environment_at as u64, base + execfn_at as u64),
        auxv,
    })
}
