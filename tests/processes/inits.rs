//! The first process of a container: it takes in children whose parents have ended, hands
//! the stop signal on, and ends as its child did.

use libtest_mimic::{Failed, Trial};

use crate::common::server::Server;
use crate::image::{OPTIONS, can_run, debian, guest};

const TINI: (&str, &[&str]) = ("/usr/bin/tini", &["--"]);
const DUMB_INIT: (&str, &[&str]) = ("/usr/bin/dumb-init", &["--"]);

/// One for each kind.
pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("inits::tini", || hands_on("tini", TINI)),
        Trial::test("inits::dumb_init", || hands_on("dumb-init", DUMB_INIT)),
        Trial::test("inits::dash_alone", || stops("dash", "/bin/dash", &[], 0)),
        Trial::test("inits::bash_alone", || stops("bash", "/bin/bash", &[], 0)),
        Trial::test("inits::ends_with_others_running", ends_with_others_running),
    ]
}

/// Runs `reaped.sh` below an init of that name.
fn hands_on(name: &'static str, (program, words): (&str, &[&str])) -> Result<(), Failed> {
    if can_run(name, &[]) {
        let run = |script: &str| {
            let words = [words, &["/bin/sh", "-c", script]].concat();
            guest(program).args(words).output()
        };
        run("exit 9").assert_code(9);
        run("kill -KILL $$").assert_code(137);
        stops(name, program, &[words, &["/bin/sh"]].concat(), 1)?;
    }
    Ok(())
}

/// The script tells what becomes of its orphan and whose child it is, and ends by SIGTERM
/// with a code of its own.
fn stops(name: &'static str, program: &str, words: &[&str], parent: u32) -> Result<(), Failed> {
    if can_run(name, &[]) {
        let options = [&OPTIONS[..], &["--entrypoint", program]].concat();
        let words = [words, &["/srv/init/reaped.sh"]].concat();
        let mut server = Server::start(name, options, debian(), &words);
        server.says(&format!("reaped\nready as child of {parent}\n"));
        server.ends(7).assert_stdout_has("told to stop\n");
    }
    Ok(())
}

/// The end of the first process is the end of all.
fn ends_with_others_running() -> Result<(), Failed> {
    if can_run("ends_with_others_running", &[]) {
        let script = "sleep 1000 & (while :; do :; done) & yes >/dev/null & sleep 0.1; exit 5";
        guest("/bin/sh")
            .args(["-c", script])
            .output()
            .assert_code(5);
    }
    Ok(())
}
