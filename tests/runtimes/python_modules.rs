//! Modules of CPython's own regression suite, each in a guest of its own, as
//! `python3 -m test -v MODULE`, and natively: as many tests must run, and as
//! many be skipped. `python_modules.txt` names every module of the suite:
//!
//! | line | meaning |
//! |---|---|
//! | `run MODULE` | runs |
//! | `only PATTERN, …: REASON` | … but of the module above these tests alone |
//! | `without PATTERN, …: REASON` | … but not these tests of the module above |
//! | `uses RESOURCE` | … and the module above may use what is off by default |
//! | `leave MODULE: REASON` | does not run |

use std::collections::BTreeSet;
use std::{fs, thread};

use libtest_mimic::{Failed, Trial};

use crate::common::skip::has_all;
use crate::common::{Outcome, Unikiln, native};
use crate::python::{NEEDS, OPTIONS, PYTHON};

const LIST: &str = include_str!("python_modules.txt");
const SUITE: &str = "/usr/lib/python3.11/test";

/// A module that runs, and what of it.
#[derive(Debug)]
struct Module {
    name: &'static str,
    /// Options of `python3 -m test` that choose tests, and what they may use.
    choice: Vec<String>,
}

/// One for each module that runs, and one for the list itself.
pub(crate) fn trials() -> Vec<Trial> {
    let (modules, left) = read(LIST);
    let named: BTreeSet<&str> = modules
        .iter()
        .map(|module| module.name)
        .chain(left)
        .collect();
    let count = modules.len();
    let list = Trial::test("python::modules_are_all_named", move || {
        is_complete(&named, count)
    });
    modules
        .into_iter()
        .map(|module| Trial::test(format!("python::{}", module.name), move || passes(&module)))
        .chain([list])
        .collect()
}

/// Modules that run, names of those that are left out.
fn read(list: &'static str) -> (Vec<Module>, Vec<&'static str>) {
    let (mut modules, mut left) = (Vec::<Module>::new(), Vec::new());
    let lines = list.lines().map(str::trim);
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (word, rest) = line.split_once(' ').expect("a word and a name");
        let with_reason = || {
            rest.split_once(": ")
                .expect("what is left out has a reason")
                .0
        };
        let option = match word {
            "run" => {
                modules.push(Module {
                    name: rest,
                    choice: Vec::new(),
                });
                continue;
            }
            "leave" => {
                left.push(with_reason());
                continue;
            }
            "only" => "-m",
            "without" => "-i",
            "uses" => "-u",
            _ => panic!("no such line: {line}"),
        };
        let module = modules.last_mut().expect("it follows its module");
        if option == "-u" {
            module.choice.extend([option.to_owned(), rest.to_owned()]);
            continue;
        }
        for name in with_reason().split(", ") {
            module.choice.extend([option.to_owned(), pattern(name)]);
        }
    }
    (modules, left)
}

/// `Class` and patterns as they are, `Class.test` as the end of a full name.
fn pattern(name: &str) -> String {
    if name.contains('.') && !name.contains('*') {
        return format!("*.{name}");
    }
    name.to_owned()
}

/// What is neither run nor left out for a reason, or is not there.
fn is_complete(named: &BTreeSet<&str>, count: usize) -> Result<(), Failed> {
    if has_all("modules_are_all_named", &NEEDS) {
        let mut there = BTreeSet::new();
        for entry in fs::read_dir(SUITE)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let module = name.strip_suffix(".py").unwrap_or(&name);
            if module.starts_with("test_") && !module.contains('.') {
                there.insert(module.to_owned());
            }
        }
        let named: BTreeSet<String> = named.iter().map(|&name| name.to_owned()).collect();
        let difference: Vec<_> = there.symmetric_difference(&named).collect();
        assert!(difference.is_empty(), "not in both: {difference:?}");
        assert!(count >= 60, "only {count} modules run");
    }
    Ok(())
}

fn passes(module: &Module) -> Result<(), Failed> {
    if has_all(module.name, &NEEDS) {
        let mut args = vec!["-m", "test", "-v", module.name];
        args.extend(module.choice.iter().map(String::as_str));
        // Many of them sleep: both sides at once.
        let (native, guest) = thread::scope(|scope| {
            let native = scope.spawn(|| {
                // Whoever runs the tests may have set signals to be ignored.
                let words = [&["--default-signal", PYTHON.program()], args.as_slice()].concat();
                native("env", words, &[])
            });
            let guest = Unikiln::run(PYTHON.file())
                .options(OPTIONS)
                .env("HOME=/root")
                .args(&args)
                .output();
            (native.join().expect("it does not panic"), guest)
        });
        native.assert_code(0);
        guest.assert_code(0);
        let (want, got) = (counts(&native), counts(&guest));
        assert!(want.0 > 0, "no test ran\n{}", native.story());
        assert!(
            want == got,
            "tests run, tests skipped: {want:?} here, {got:?} in the guest\n{}",
            guest.story()
        );
    }
    Ok(())
}

/// Tests run and tests skipped, of all suites of a module.
fn counts(outcome: &Outcome) -> (u32, u32) {
    let text = outcome.out() + &outcome.err();
    let sum = |before: &str| {
        let numbers = text.split(before).skip(1).map(|rest| {
            let end = rest.find(|letter: char| !letter.is_ascii_digit());
            rest[..end.unwrap_or(rest.len())]
                .parse::<u32>()
                .unwrap_or(0)
        });
        numbers.sum()
    };
    (sum("\nRan "), sum("skipped="))
}
