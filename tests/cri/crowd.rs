//! A thousand pods, eight at a time, and nothing left of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use libtest_mimic::Trial;

use crate::leaks::{self, Snapshot};
use crate::node::Node;
use crate::one;
use crate::pod::Handler;
use crate::random::count;

/// At once.
const CLIENTS: u64 = 8;
/// Of so many pods one runs under runc, which takes longer.
const RUNC_EVERY: u64 = 10;

pub fn trials() -> Vec<Trial> {
    one(
        "crowd::a_thousand_pods_leave_nothing",
        a_thousand_pods_leave_nothing,
    )
}

fn a_thousand_pods_leave_nothing() {
    let node = Node::start();
    node.pull("all");
    // Once before, so that what is made once for all is there.
    for handler in Handler::ALL {
        life(&node, handler, 0);
    }
    let before = Snapshot::take(&node);
    let files = leaks::open_files(&node);
    let pods = count("UNIKILN_CRI_PODS", 1000);
    let next = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= pods {
                        break;
                    }
                    let handler = if number.is_multiple_of(RUNC_EVERY) {
                        Handler::Runc
                    } else {
                        Handler::Unikiln
                    };
                    life(&node, handler, number);
                }
            });
        }
    });
    let left = node
        .client
        .list_pod_sandbox(Default::default())
        .expect("a list");
    assert!(left.items.is_empty(), "{:?}", left.items);
    before.assert_back(&node);
    leaks::assert_open_files(&node, files);
}

/// A pod with a container, its exit code checked.
fn life(node: &Node, handler: Handler, number: u64) {
    let pod = node.pod(handler).run();
    let code = (number % 7) as i32;
    let container = pod
        .container(&["/bin/ends", "exit", &code.to_string()])
        .start();
    let status = container.ends();
    assert_eq!(status.exit_code, code, "{}", container.story());
    assert_eq!(container.lines(), [format!("exit {code}")]);
    // Kubelet's way, and the short one.
    if number.is_multiple_of(2) {
        pod.stop();
        container.remove();
    }
    pod.remove();
}
