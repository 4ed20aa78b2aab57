//! Servers of Debian 12, of its language runtimes and of a few frameworks run
//! unmodified and serve their ordinary clients, which run here and reach them by
//! published ports. Each is ended by SIGTERM and its exit code is checked.
//!
//! | file | what runs |
//! |---|---|
//! | `debian.rs` | redis, nginx, memcached, lighttpd, haproxy in front of two of them |
//! | `languages.rs` | servers of Python, Node.js, Go, Java and Rust |
//! | `clients.rs` | names and HTTP from inside a guest: Python, Go, curl |
//! | `load.rs` | 1,000 connections at once, 10,000 one after another |
//! | `image.rs` | the image of all packages; programs that are made here |
//!
//! `files` is a layer of the image; other folders hold programs that are made here.

mod clients;
#[path = "../common/mod.rs"]
mod common;
mod debian;
mod image;
mod languages;
mod load;

use common::server;
use libtest_mimic::Arguments;

fn main() {
    let trials = [
        debian::trials(),
        languages::trials(),
        clients::trials(),
        load::trials(),
    ];
    let mut arguments = Arguments::from_args();
    // A guest and its client keep two cores busy.
    arguments.test_threads = arguments.test_threads.or(Some(1));
    libtest_mimic::run(&arguments, trials.into_iter().flatten().collect()).exit();
}
