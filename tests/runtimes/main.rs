//! Language runtimes of Debian 12 run unmodified, with threads on two vCPUs.
//! What a program prints must be what it prints natively on this machine, but
//! where it says that it cannot do something that a unikernel cannot.
//!
//! | file | what runs |
//! |---|---|
//! | `python.rs` | CPython: threads, asyncio, signals …, and modules of its own regression suite |
//! | `node.rs` | Node.js: files, timers, workers, crypto, compiled loops |
//! | `java.rs` | OpenJDK: threads, collection under a limit, parallel streams |
//! | `go.rs` | Go: goroutines, collection, timers, and test binaries of its standard library |
//! | `tokio.rs` | a Rust program on tokio's runtime |
//! | `scripts.rs` | perl, ruby, php, lua |
//! | `native.rs` | C: 1,000 threads, SQLite's speedtest1, gcc's cc1 and as |
//!
//! Programs lie in the folder of the same name.

#[path = "../common/mod.rs"]
mod common;
mod go;
mod image;
mod java;
mod native;
mod node;
mod python;
mod python_modules;
mod scripts;
mod tokio;

use libtest_mimic::Arguments;

fn main() {
    let trials = [
        python::trials(),
        python_modules::trials(),
        node::trials(),
        java::trials(),
        go::trials(),
        tokio::trials(),
        scripts::trials(),
        native::trials(),
    ];
    let trials = trials.into_iter().flatten().collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
