//! The libOS image: entry code and tables of the library, linked by `libos.ld`.

#![cfg_attr(target_os = "none", no_std, no_main)]

use unikiln_libos as _;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("the libOS runs in a guest only: build it for x86_64-unknown-none");
}
