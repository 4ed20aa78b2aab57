//! Event polls over files that count how often they are asked.

use core::sync::atomic::{AtomicU32, Ordering};
use std::vec::Vec;

use linux_raw_sys::general::{
    EPOLLET, EPOLLEXCLUSIVE, EPOLLHUP, EPOLLIN, EPOLLONESHOT, EPOLLOUT, EPOLLPRI,
};

use super::*;

#[derive(Default)]
struct Source {
    events: AtomicU32,
    asked: AtomicU32,
    watchers: Watchers,
}

impl Source {
    fn set(&self, events: u32) {
        self.events.store(events, Ordering::Relaxed);
        self.watchers.notify(events);
    }
}

struct SourceFile(Arc<Source>);

impl File for SourceFile {
    fn attributes(&self) -> Result<Attributes, Errno> {
        Err(Errno::EIO)
    }

    fn readiness(&self) -> Readiness {
        self.0.asked.fetch_add(1, Ordering::Relaxed);
        Readiness::of(self.0.events.load(Ordering::Relaxed))
    }

    fn watchers(&self) -> [Option<&Watchers>; 2] {
        [Some(&self.0.watchers), None]
    }
}

fn source() -> (Arc<Source>, Arc<OpenFile>) {
    let source = Arc::new(Source::default());
    let file = OpenFile::new(SourceFile(source.clone()), O_RDWR, None);
    (source, file)
}

fn want(events: u32, data: u64) -> Interest {
    Interest { events, data }
}

fn epoll_of(file: &Arc<OpenFile>) -> &Epoll {
    file.file().as_epoll().expect("an event poll")
}

fn found(file: &Arc<OpenFile>) -> Vec<u64> {
    let ready = epoll_of(file).look(100).ready;
    ready.iter().map(|interest| interest.data).collect()
}

fn add(poll: &Arc<OpenFile>, file: &Arc<OpenFile>, events: u32, data: u64) -> Result<(), Errno> {
    epoll_of(poll).add(data as i32, file, want(events, data))
}

#[test]
fn a_look_asks_only_what_may_be_ready() {
    let poll = open(0);
    let sources: Vec<_> = (0..1000).map(|_| source()).collect();
    for (data, (_, file)) in (0..).zip(&sources) {
        add(&poll, file, EPOLLIN, data).expect("is added");
    }
    sources[7].0.set(EPOLLIN);
    sources[900].0.set(EPOLLIN);
    assert_eq!(found(&poll), [7, 900]);
    assert_eq!(found(&poll), [7, 900], "level-triggered: still there");
    sources[7].0.set(0);
    assert_eq!(found(&poll), [900]);
    let asked = |at: usize| sources[at].0.asked.load(Ordering::Relaxed);
    assert_eq!((asked(0), asked(7), asked(900)), (1, 4, 4));
}

#[test]
fn an_edge_is_each_time_that_the_file_tells() {
    let poll = open(0);
    let (source, file) = source();
    source.set(EPOLLIN);
    add(&poll, &file, EPOLLIN | EPOLLET, 1).expect("is added");
    assert_eq!(found(&poll), [1], "ready when added");
    assert!(found(&poll).is_empty());
    source.set(EPOLLIN);
    assert_eq!(found(&poll), [1], "told again although ready before");
    source.watchers.notify(EPOLLOUT);
    assert!(found(&poll).is_empty(), "told of something not asked for");
    let edge = want(EPOLLIN | EPOLLET, 1);
    epoll_of(&poll).modify(1, &file, edge).expect("is there");
    assert_eq!(found(&poll), [1], "looked at anew");
}

#[test]
fn a_one_shot_is_silent_until_it_is_asked_again() {
    let poll = open(0);
    let (source, file) = source();
    add(&poll, &file, EPOLLIN | EPOLLONESHOT, 1).expect("is added");
    source.set(EPOLLIN);
    assert_eq!(found(&poll), [1]);
    source.set(EPOLLIN | EPOLLHUP);
    assert!(found(&poll).is_empty());
    let again = want(EPOLLIN | EPOLLONESHOT, 2);
    epoll_of(&poll).modify(1, &file, again).expect("is there");
    assert_eq!(found(&poll), [2]);
}

#[test]
fn level_triggered_ones_take_turns() {
    let poll = open(0);
    let sources: Vec<_> = (0..3).map(|_| source()).collect();
    for (data, (source, file)) in (0..).zip(&sources) {
        source.set(EPOLLIN);
        add(&poll, file, EPOLLIN, data).expect("is added");
    }
    let turns: Vec<u64> = (0..4)
        .map(|_| epoll_of(&poll).look(1).ready[0].data)
        .collect();
    assert_eq!(turns, [0, 1, 2, 0]);
}

#[test]
fn a_closed_file_is_gone_and_leaves_nothing() {
    let poll = open(0);
    let (kept, file) = source();
    kept.set(EPOLLIN);
    add(&poll, &file, EPOLLIN, 1).expect("is added");
    drop(file);
    assert!(found(&poll).is_empty());
    assert!(epoll_of(&poll).core.watches.lock().is_empty());
    assert!(kept.watchers.cores().is_empty());
    let (kept, file) = source();
    add(&poll, &file, EPOLLIN, 1).expect("is added");
    drop(poll);
    assert!(kept.watchers.cores().is_empty());
    assert!(file.watches.lock().is_empty());
}

#[test]
fn an_event_poll_tells_the_one_that_watches_it() {
    let (outer, inner) = (open(0), open(0));
    let (source, file) = source();
    add(&inner, &file, EPOLLIN, 1).expect("is added");
    add(&outer, &inner, EPOLLIN | EPOLLET, 2).expect("is added");
    assert!(found(&outer).is_empty());
    source.set(EPOLLIN);
    assert_eq!(found(&outer), [2]);
    assert!(found(&outer).is_empty(), "told once");
    assert_eq!(found(&inner), [1], "the outer look took nothing away");
    assert!(found(&outer).is_empty());
    source.set(EPOLLIN);
    assert_eq!(found(&outer), [2]);
}

#[test]
fn circles_and_depth_are_refused() {
    let polls: Vec<_> = (0..10).map(|_| open(0)).collect();
    let watch = |outer: usize, inner: usize| add(&polls[outer], &polls[inner], EPOLLIN, 0);
    assert_eq!(watch(0, 0), Err(Errno::ELOOP));
    for at in 0..5 {
        assert_eq!(watch(at, at + 1), Ok(()));
    }
    assert_eq!(watch(5, 6), Err(Errno::ELOOP), "from above");
    assert_eq!(watch(5, 0), Err(Errno::ELOOP), "a circle");
    assert_eq!(watch(8, 9), Ok(()));
    assert_eq!(watch(4, 8), Err(Errno::ELOOP), "in the middle");
}

#[test]
fn exclusive_goes_with_few_flags_and_cannot_be_changed() {
    let poll = open(0);
    let (_, file) = source();
    for events in [EPOLLONESHOT, EPOLLPRI] {
        let outcome = add(&poll, &file, EPOLLIN | EPOLLEXCLUSIVE | events, 1);
        assert_eq!(outcome, Err(Errno::EINVAL));
    }
    let inner = open(0);
    assert_eq!(
        add(&poll, &inner, EPOLLIN | EPOLLEXCLUSIVE, 1),
        Err(Errno::EINVAL)
    );
    add(&poll, &file, EPOLLIN | EPOLLEXCLUSIVE | EPOLLET, 1).expect("is added");
    let outcome = epoll_of(&poll).modify(1, &file, want(EPOLLIN, 1));
    assert_eq!(outcome, Err(Errno::EINVAL));
}

#[test]
fn one_of_the_exclusive_event_polls_that_wait_is_told() {
    let polls: Vec<_> = (0..3).map(|_| open(0)).collect();
    let (source, file) = source();
    for poll in &polls {
        add(poll, &file, EPOLLIN | EPOLLEXCLUSIVE | EPOLLET, 1).expect("is added");
    }
    let told = epoll_of(&polls[0]).waiting(|| {
        epoll_of(&polls[1]).waiting(|| {
            source.set(EPOLLIN);
            polls
                .iter()
                .map(|poll| found(poll).len())
                .collect::<Vec<_>>()
        })
    });
    assert_eq!(told, [1, 0, 0]);
}

/// Two threads: one makes files ready, one looks. No edge is lost, and nothing hangs.
#[test]
fn no_edge_is_lost_between_threads() {
    const ROUNDS: u32 = 20_000;
    let (outer, inner) = (open(0), open(0));
    let (source, file) = source();
    add(&inner, &file, EPOLLIN | EPOLLET, 1).expect("is added");
    add(&outer, &inner, EPOLLIN | EPOLLET, 2).expect("is added");
    let seen = AtomicU32::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1..=ROUNDS {
                source.set(EPOLLIN);
                while seen.load(Ordering::Acquire) < round {
                    std::hint::spin_loop();
                    std::thread::yield_now();
                }
            }
        });
        scope.spawn(|| {
            for round in 1..=ROUNDS {
                while found(&outer).is_empty() {
                    std::thread::yield_now();
                }
                assert_eq!(found(&inner), [1]);
                seen.store(round, Ordering::Release);
            }
        });
    });
}

/// Files come, change and go in several threads while others look: nothing hangs or stays.
#[test]
fn files_that_come_and_go_leave_nothing() {
    let (outer, inner) = (open(0), open(0));
    add(&outer, &inner, EPOLLIN, 0).expect("is added");
    let (running, left) = (AtomicU32::new(2), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for thread in 0..2_i32 {
            let (inner, running, left) = (&inner, &running, &left);
            scope.spawn(move || {
                for round in 0..3000 {
                    let (source, file) = source();
                    let fd = thread * 10_000 + round;
                    let interest = want(EPOLLIN, 7);
                    epoll_of(inner).add(fd, &file, interest).expect("is added");
                    source.set(EPOLLIN);
                    if round % 3 == 0 {
                        epoll_of(inner).remove(fd, &file).expect("is there");
                    }
                    drop(file);
                    source.set(EPOLLIN | EPOLLHUP);
                    // Whoever looks at this moment holds the file for a moment longer.
                    let begun = std::time::Instant::now();
                    while !source.watchers.cores().is_empty() {
                        if begun.elapsed().as_secs() >= 10 {
                            left.fetch_add(1, Ordering::Relaxed);
                            break;
                        }
                        std::thread::yield_now();
                    }
                }
                running.fetch_sub(1, Ordering::Release);
            });
        }
        scope.spawn(|| {
            while running.load(Ordering::Acquire) > 0 {
                found(&outer);
                found(&inner);
                std::thread::yield_now();
            }
        });
    });
    assert_eq!(left.into_inner(), 0);
    assert!(found(&outer).is_empty());
    assert!(epoll_of(&inner).core.watches.lock().is_empty());
    assert!(epoll_of(&inner).core.ready.lock().is_empty());
}
