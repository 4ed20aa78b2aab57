//! Programs that are many processes run unmodified inside one unikernel: shells and
//! their scripts, the entrypoints of common images, and programs that start others.
//!
//! | file | what runs |
//! |---|---|
//! | `shells.rs` | scripts of dash, bash and busybox ash: they print what they print natively |
//! | `languages.rs` | child processes of Python, Node.js, Go and Java |
//! | `building.rs` | make with gcc, and git |
//! | `inits.rs` | tini, dumb-init and shells as the first process |
//! | `entrypoints.rs` | redis, nginx, PostgreSQL and MariaDB, as their images start them |
//! | `servers.rs` | nginx with workers, redis that saves in the background, supervisord with php-fpm |
//! | `image.rs` | the image of all packages |
//!
//! `files` is a layer of the image; `programs` holds those that are made or run natively here.

mod building;
#[path = "../common/mod.rs"]
mod common;
mod entrypoints;
mod image;
mod inits;
mod languages;
mod servers;
mod shells;

use libtest_mimic::Arguments;

fn main() {
    let trials = [
        shells::trials(),
        languages::trials(),
        building::trials(),
        inits::trials(),
        entrypoints::trials(),
        servers::trials(),
    ];
    let mut arguments = Arguments::from_args();
    // A guest of two vCPUs and its clients keep two cores busy.
    arguments.test_threads = arguments.test_threads.or(Some(1));
    libtest_mimic::run(&arguments, trials.into_iter().flatten().collect()).exit();
}
