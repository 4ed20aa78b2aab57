//! Programs of Debian 12's packages run unmodified: single ones as `host:`
//! images, interpreters from an image of the packages. Where the answer does
//! not depend on the machine, it must be the one that the program gives natively.

mod busybox;
#[path = "../common/mod.rs"]
mod common;
mod coreutils;
mod interpreters;
mod system;

use std::path::PathBuf;
use std::sync::OnceLock;

use common::image::{IMAGE_TOOLS, debian_layout, make};
use common::skip::{Need, has_all};
use common::{Unikiln, cache_dir, native};
use libtest_mimic::{Arguments, Failed, Trial};

/// Where a case's program comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source {
    /// A program of this machine, with [`fixture`] included.
    Host(&'static str),
    /// This program of the Debian image.
    Debian(&'static str),
}

/// What its output must be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Want {
    /// As on the host.
    Native,
    /// Exit code 0 and these words in standard output.
    Words(&'static str),
    /// This exit code.
    Code(i32),
}

use Source::{Debian, Host};
use Want::{Code, Native, Words};

/// Name, program, arguments, what must come out.
type Case = (&'static str, Source, &'static [&'static str], Want);

/// Files that the cases look at; the same ones in guest and host.
fn fixture() -> &'static str {
    static PLACE: OnceLock<String> = OnceLock::new();
    PLACE.get_or_init(|| {
        let place = make("fixture", |dir| {
            let write = |name: &str, bytes: &[u8]| {
                std::fs::write(dir.join(name), bytes).expect("target is writable")
            };
            std::fs::create_dir_all(dir.join("tree/inner")).expect("target is writable");
            write("words", b"clay\nkiln\nkiln\nglaze\nfire\nUNIKILN\nwood\n");
            let numbers: String = (0..2000_u32)
                .map(|n| format!("{}\n", n * 7919 % 10_007))
                .collect();
            write("numbers", numbers.as_bytes());
            let binary: Vec<u8> = (0..50_000_u32).map(|n| ((n * n) >> 5) as u8).collect();
            write("binary", &binary);
            write("tree/inner/file", b"in the kiln\n");
            write("tree/empty", b"");
            std::os::unix::fs::symlink("inner/file", dir.join("tree/link"))
                .expect("target is writable");
            let dir = dir.to_str().expect("UTF-8");
            common::image::tool("gzip", &["-k", &format!("{dir}/numbers")]);
            common::image::tool(
                "tar",
                &["-C", dir, "-cf", &format!("{dir}/tree.tar"), "tree"],
            );
        });
        place.to_str().expect("UTF-8").to_owned()
    })
}

/// The Debian image as a unikernel file, built once for all cases.
fn debian_unikernel() -> &'static PathBuf {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| {
        let image = format!("oci:{}:debian", debian_layout().display());
        let file = cache_dir("images").join("debian.uk");
        let file_text = file.to_str().expect("UTF-8");
        Unikiln::command(["build", &image, "-o", file_text])
            .output()
            .assert_code(0);
        file
    })
}

fn check((name, source, args, want): Case) -> Result<(), Failed> {
    let (Host(program) | Debian(program)) = source;
    if !has_all(name, &[Need::Kvm, Need::File(program)]) {
        return Ok(());
    }
    let args: Vec<String> = args
        .iter()
        .map(|word| word.replace("@/", &format!("{}/", fixture())))
        .map(|word| {
            if word == "@" {
                fixture().to_owned()
            } else {
                word
            }
        })
        .collect();
    let unikiln = match source {
        Host(_) => Unikiln::run(format!("host:{program}")).options(["--include", fixture()]),
        Debian(_) => {
            if !has_all(name, &IMAGE_TOOLS) {
                return Ok(());
            }
            Unikiln::run(debian_unikernel()).options(["--entrypoint", program])
        }
    };
    let outcome = unikiln.args(&args).output();
    match want {
        Native => drop(outcome.assert_same(&native(program, &args, &[]))),
        Words(words) => drop(outcome.assert_code(0).assert_stdout_has(words)),
        Code(code) => drop(outcome.assert_code(code)),
    }
    Ok(())
}

fn main() {
    let trials = [
        busybox::CASES,
        coreutils::CASES,
        interpreters::CASES,
        system::CASES,
    ]
    .into_iter()
    .flatten()
    .map(|case| Trial::test(case.0, || check(*case)))
    .collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
