//! `unikiln serve`, asked over its socket as kubelet asks it: pods as unikernels and under
//! runc, side by side. Each trial's daemon has its own state; all of them live in namespaces
//! of this process's own, so that neither bridges nor rules nor processes outlive it.
//!
//! | file | what it holds |
//! |---|---|
//! | `inside.rs` | the namespaces |
//! | `images.rs` | docker-registry, and images of `programs/*.c` in it |
//! | `client.rs` | the gRPC client |
//! | `node.rs` | a daemon: its directories, start, kill, end |
//! | `pod.rs` | pods and containers as a story tells them |
//! | `random.rs` | numbers that come again with a seed |
//! | `log.rs` | CRI log files, read strictly |
//! | `cgroups.rs` | the cgroups of a node's pods |
//! | `leaks.rs` | all that a daemon could leave behind |
//! | `lifecycle.rs` | pods and containers from their start to their removal |
//! | `ends.rs` | exit codes, reasons, stopping |
//! | `logs.rs` | log files |
//! | `inside_pod.rs` | what a program sees: user, files, mounts, names |
//! | `network.rs` | one network for a pod, ports, no CNI |
//! | `resources.rs` | limits, statistics, metrics |
//! | `lists.rs` | lists, filters, status, events |
//! | `refusals.rs` | bad input, unknown ids, wrong states, what a handler cannot |
//! | `streams.rs` | ExecSync, port forwarding |
//! | `exec.rs` | Exec, Attach |
//! | `faults.rs` | plugins that fail, full disks, dead monitors |
//! | `damage.rs` | damaged records |
//! | `reboot.rs` | records of another boot, and of a clock that was set back |
//! | `kills.rs` | the daemon killed at random points |
//! | `crowd.rs` | a thousand pods |
//! | `model.rs` | random calls of 16 clients against a model |
//!
//! Trials of the first group run side by side; those that look for leaks run alone, after them.

mod cgroups;
mod client;
#[path = "../common/mod.rs"]
mod common;
mod crowd;
mod damage;
mod ends;
mod exec;
mod faults;
mod images;
mod inside;
mod inside_pod;
mod kills;
mod leaks;
mod lifecycle;
mod lists;
mod log;
mod logs;
mod model;
mod network;
mod node;
mod pod;
mod random;
mod reboot;
mod refusals;
mod resources;
mod streams;

use libtest_mimic::{Arguments, Trial};

use common::skip::{Need, has_all};
use pod::Handler;

/// What all trials need.
const NEEDS: [Need<'static>; 13] = [
    Need::Kvm,
    Need::Namespaces,
    Need::Mounts,
    Need::Program("gcc"),
    Need::Program("umoci"),
    Need::Program("skopeo"),
    Need::Program("docker-registry"),
    Need::Program("runc"),
    Need::Program("conmon"),
    Need::Program("ip"),
    Need::Program("iptables"),
    Need::File("/usr/lib/cni/bridge"),
    Need::File("/bin/busybox"),
];

fn main() {
    let mut arguments = Arguments::from_args();
    if arguments.list {
        let all = together().into_iter().chain(alone()).collect();
        libtest_mimic::run(&arguments, all).exit();
    }
    if !has_all("cri", &NEEDS) {
        return;
    }
    inside::enter();
    images::start();
    let threads = arguments.test_threads;
    // Most of a trial is waiting.
    arguments.test_threads = threads.or(Some(3));
    let together = libtest_mimic::run(&arguments, together());
    node::end_shared();
    arguments.test_threads = Some(1);
    let alone = libtest_mimic::run(&arguments, alone());
    images::end();
    together.exit_if_failed();
    alone.exit();
}

/// Trials that run side by side.
fn together() -> Vec<Trial> {
    let groups = [
        lifecycle::trials(),
        ends::trials(),
        logs::trials(),
        inside_pod::trials(),
        network::trials(),
        resources::trials(),
        lists::trials(),
        refusals::trials(),
        streams::trials(),
        exec::trials(),
        faults::trials(),
    ];
    all(groups)
}

/// Trials that look at all there is.
fn alone() -> Vec<Trial> {
    let groups = [
        damage::trials(),
        reboot::trials(),
        crowd::trials(),
        model::trials(),
        kills::trials(),
    ];
    all(groups)
}

/// Groups as one.
fn all<const N: usize>(groups: [Vec<Trial>; N]) -> Vec<Trial> {
    groups.into_iter().flatten().collect()
}

/// A trial.
fn one(name: &str, run: fn()) -> Vec<Trial> {
    let run = move || {
        run();
        Ok(())
    };
    vec![Trial::test(name, run)]
}

/// A trial for each handler.
fn each(name: &str, run: fn(Handler)) -> Vec<Trial> {
    let trial = |handler: Handler| {
        Trial::test(format!("{name}::{}", handler.name()), move || {
            run(handler);
            Ok(())
        })
    };
    Handler::ALL.map(trial).into()
}
