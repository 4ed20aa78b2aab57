//! Scripts of shells: what they print and how they end is what they do natively.

use libtest_mimic::{Failed, Trial};

use crate::common::native;
use crate::image::{FOLDER, can_run, guest};
use crate::languages::PYTHON;

/// Name, program and what comes before the script.
const SHELLS: [(&str, &str, &[&str]); 3] = [
    ("dash", "/bin/dash", &[]),
    ("bash", "/bin/bash", &[]),
    ("busybox", "/bin/busybox", &["ash"]),
];

/// Scripts of `files/srv/shell` that all of them run.
const SCRIPTS: [&str; 6] = [
    "children.sh",
    "documents.sh",
    "exec.sh",
    "pipelines.sh",
    "tools.sh",
    "traps.sh",
];

/// One for each shell and script.
pub(crate) fn trials() -> Vec<Trial> {
    let all = SHELLS
        .iter()
        .flat_map(|shell| SCRIPTS.map(|script| (shell, script)));
    let own = [(&SHELLS[1], "only.bash")];
    let scripts = all.chain(own);
    let scripts = scripts.map(|((shell, program, words), script)| {
        let (name, _) = script.split_once('.').expect("an ending");
        Trial::test(format!("shells::{shell}_{name}"), move || {
            prints_the_same(program, words, script)
        })
    });
    let jobs = SHELLS.iter().map(|(shell, program, words)| {
        Trial::test(format!("shells::{shell}_jobs"), || {
            controls_jobs(program, words)
        })
    });
    scripts.chain(jobs).collect()
}

/// Job control needs a terminal.
fn controls_jobs(program: &str, words: &[&str]) -> Result<(), Failed> {
    if can_run("jobs.sh", &[program, PYTHON]) {
        let args = |folder: &str| {
            let files = ["python/terminal.py", "shell/jobs.sh"];
            let [terminal, script] = files.map(|file| format!("{folder}/srv/{file}"));
            let words = [&program].into_iter().chain(words).copied();
            let words = words.map(str::to_owned);
            [terminal].into_iter().chain(words).chain([script])
        };
        let native = native(PYTHON, args(&format!("{FOLDER}/files")), &[]);
        let outcome = guest(PYTHON).args(args("")).output();
        outcome.assert_same(&native);
        outcome.assert_stdout_has("reads: 149");
    }
    Ok(())
}

fn prints_the_same(program: &str, words: &[&str], script: &str) -> Result<(), Failed> {
    if can_run(script, &[program]) {
        let args = |folder: &str| {
            let path = format!("{folder}/srv/shell/{script}");
            let words = words.iter().map(|word| (*word).to_owned());
            words.chain([path]).collect::<Vec<_>>()
        };
        let native = native(program, args(&format!("{FOLDER}/files")), &[]);
        let outcome = guest(program).args(args("")).output();
        outcome.assert_same(&native);
    }
    Ok(())
}
