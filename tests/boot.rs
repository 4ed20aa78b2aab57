//! The first thing to work and the last to break: a program boots, says a word,
//! and its exit code comes back; time and memory of that are bounded.

mod common;

use std::time::Duration;

use common::guest::{Build, Guest, all};
use common::skip::{Need, has_all};
use common::{Unikiln, cache_dir};

/// The hello program as a unikernel file.
fn hello() -> Option<String> {
    let needs = [Need::Kvm, Need::Program(Guest::compiler(Build::Static))];
    if !has_all("boot", &needs) {
        return None;
    }
    let guests = all("tests/guests").expect("the folder is in the repository");
    let hello = guests
        .iter()
        .find(|guest| guest.name == "hello")
        .expect("tests/guests/hello.c");
    let file = cache_dir("images").join("hello.uk");
    let file = file.to_str().expect("UTF-8").to_owned();
    let image = format!("host:{}", hello.compile(Build::Static).display());
    Unikiln::command(["build", &image, "-o", &file])
        .output()
        .assert_code(0);
    Some(file)
}

#[test]
fn a_program_boots_and_its_output_is_the_log() {
    if let Some(file) = hello() {
        Unikiln::run(file)
            .output()
            .assert_code(0)
            .assert_stdout("ok hello\n");
    }
}

#[test]
fn booting_is_quick() {
    if let Some(file) = hello() {
        let fastest = (0..10)
            .map(|_| Unikiln::run(&file).output().elapsed)
            .min()
            .unwrap_or_default();
        // Ten times what it takes on a slow machine with an unoptimized monitor.
        assert!(
            fastest < Duration::from_millis(250),
            "the fastest of ten boots took {fastest:?}"
        );
    }
}

#[test]
fn a_hundred_boots_are_alike() {
    if let Some(file) = hello() {
        for _ in 0..100 {
            Unikiln::run(&file)
                .output()
                .assert_code(0)
                .assert_stdout("ok hello\n");
        }
    }
}
