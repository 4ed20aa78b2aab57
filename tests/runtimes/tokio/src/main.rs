//! tokio's runtime of several threads: tasks, channels, timers, files, signals.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncSeekExt, AsyncWriteExt, BufReader};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Barrier, Mutex, Notify, RwLock, Semaphore, broadcast, mpsc, oneshot, watch};
use tokio::task::{JoinSet, spawn_blocking, yield_now};
use tokio::time::{interval, sleep, timeout};
use tokio::{fs, join, select, spawn};

#[tokio::main(flavor = "multi_thread", worker_threads = 4)]
async fn main() {
    tasks().await;
    channels().await;
    locks().await;
    timers().await;
    files().await.expect("files work");
    blocking().await;
    signals().await;
    println!("done");
}

async fn tasks() {
    let mut set = JoinSet::new();
    for n in 0..10_000_u64 {
        set.spawn(async move {
            yield_now().await;
            n
        });
    }
    let mut sum = 0;
    while let Some(n) = set.join_next().await {
        sum += n.expect("tasks end");
    }
    println!("tasks {sum}");
    let failed = spawn(async { panic::quietly() }).await;
    println!(
        "panic caught {}",
        failed.is_err_and(|error| error.is_panic())
    );
    let endless = spawn(std::future::pending::<()>());
    endless.abort();
    println!(
        "aborted {}",
        endless.await.is_err_and(|error| error.is_cancelled())
    );
    // More busy tasks than one thread could run at once.
    let barrier = Arc::new(std::sync::Barrier::new(3));
    let busy: Vec<_> = (0..3)
        .map(|_| Arc::clone(&barrier))
        .map(|barrier| {
            spawn(async move {
                barrier.wait();
                thread::current().id()
            })
        })
        .collect();
    let mut threads = Vec::new();
    for task in busy {
        threads.push(task.await.expect("tasks end"));
    }
    println!(
        "on {} threads",
        threads
            .iter()
            .map(|id| format!("{id:?}"))
            .collect::<BTreeSet<_>>()
            .len()
    );
}

/// A panic without its message.
mod panic {
    pub(crate) fn quietly() {
        std::panic::resume_unwind(Box::new("quiet"));
    }
}

async fn channels() {
    let (sender, mut receiver) = mpsc::channel(8);
    for worker in 0..8_u64 {
        let sender = sender.clone();
        spawn(async move {
            for n in 0..1_000 {
                sender.send(worker * n).await.expect("someone receives");
            }
        });
    }
    drop(sender);
    let mut sum = 0;
    while let Some(n) = receiver.recv().await {
        sum += n;
    }
    println!("mpsc {sum}");

    let (asks, answer) = oneshot::channel();
    spawn(async move { asks.send(42) });
    println!("oneshot {}", answer.await.expect("it was sent"));

    let (sender, _) = broadcast::channel(16);
    let listeners: Vec<_> = (0..5)
        .map(|_| sender.subscribe())
        .map(|mut inbox| spawn(async move { inbox.recv().await }))
        .collect();
    sender.send("heard").expect("five listen");
    for listener in listeners {
        assert_eq!(listener.await.expect("tasks end"), Ok("heard"));
    }
    let (change, mut seen) = watch::channel(0);
    let watcher = spawn(async move {
        seen.wait_for(|value| *value == 100)
            .await
            .map(|value| *value)
    });
    for value in 1..=100 {
        change.send_replace(value);
        yield_now().await;
    }
    println!(
        "broadcast, watch {}",
        watcher.await.expect("tasks end").expect("the sender lives")
    );
}

async fn locks() {
    let (mutex, table) = (
        Arc::new(Mutex::new(0_u64)),
        Arc::new(RwLock::new(vec![0_u64; 4])),
    );
    let (semaphore, inside, most) = (
        Arc::new(Semaphore::new(3)),
        Arc::new(AtomicU64::new(0)),
        Arc::new(AtomicU64::new(0)),
    );
    let barrier = Arc::new(Barrier::new(20));
    let mut set = JoinSet::new();
    for n in 0..20_usize {
        let (mutex, table, semaphore) = (
            Arc::clone(&mutex),
            Arc::clone(&table),
            Arc::clone(&semaphore),
        );
        let (inside, most, barrier) =
            (Arc::clone(&inside), Arc::clone(&most), Arc::clone(&barrier));
        set.spawn(async move {
            barrier.wait().await;
            for _ in 0..100 {
                *mutex.lock().await += 1;
                table.write().await[n % 4] += 1;
                let _permit = semaphore.acquire().await.expect("it is never closed");
                most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                yield_now().await;
                inside.fetch_sub(1, Ordering::SeqCst);
            }
        });
    }
    set.join_all().await;
    println!(
        "locks {} {:?} {}",
        mutex.lock().await,
        table.read().await,
        most.load(Ordering::SeqCst) <= 3
    );
}

async fn timers() {
    let start = Instant::now();
    join!(
        sleep(Duration::from_millis(20)),
        sleep(Duration::from_millis(30))
    );
    println!("slept {}", start.elapsed() >= Duration::from_millis(30));
    println!(
        "timeout {}",
        timeout(Duration::from_millis(10), std::future::pending::<()>())
            .await
            .is_err()
    );
    let mut ticks = interval(Duration::from_millis(2));
    for _ in 0..10 {
        ticks.tick().await;
    }
    let many: Vec<_> = (0..2_000_u64)
        .map(|n| {
            spawn(async move {
                let (start, wanted) = (Instant::now(), Duration::from_millis(n % 40));
                sleep(wanted).await;
                u64::from(start.elapsed() < wanted)
            })
        })
        .collect();
    let mut early = 0;
    for sleeper in many {
        early += sleeper.await.expect("tasks end");
    }
    println!("too early {early}");
    let notify = Arc::new(Notify::new());
    let told = Arc::clone(&notify);
    spawn(async move { told.notify_one() });
    select! {
        () = notify.notified() => println!("notified"),
        () = sleep(Duration::from_secs(60)) => println!("not notified"),
    }
}

async fn files() -> std::io::Result<()> {
    let directory = std::env::temp_dir().join(format!("tokio-{}", std::process::id()));
    fs::create_dir_all(directory.join("a/b")).await?;
    let mut set = JoinSet::new();
    for n in 0..100_u32 {
        let path = directory.join(format!("f{n}"));
        set.spawn(async move {
            fs::write(&path, n.to_string()).await?;
            fs::read_to_string(&path).await
        });
    }
    let sum: u32 = set
        .join_all()
        .await
        .into_iter()
        .map(|text| {
            text.expect("files can be written")
                .parse::<u32>()
                .expect("a number")
        })
        .sum();
    let path = directory.join("lines");
    let mut file = fs::File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)
        .await?;
    for n in 0..2_000 {
        file.write_all(format!("line {n}\n").as_bytes()).await?;
    }
    file.flush().await?;
    file.rewind().await?;
    let mut lines = BufReader::new(&mut file).lines();
    let mut count = 0;
    while lines.next_line().await?.is_some() {
        count += 1;
    }
    file.rewind().await?;
    let mut text = String::new();
    file.read_to_string(&mut text).await?;
    let missing = fs::read(directory.join("missing"))
        .await
        .expect_err("it is missing");
    println!("files {sum} {count} {} {:?}", text.len(), missing.kind());
    fs::remove_dir_all(&directory).await?;
    println!("removed {}", !fs::try_exists(&directory).await?);
    Ok(())
}

async fn blocking() {
    let mut set = JoinSet::new();
    for n in 0..64_u64 {
        set.spawn(spawn_blocking(move || {
            thread::sleep(Duration::from_millis(5));
            n
        }));
    }
    let sum: u64 = set
        .join_all()
        .await
        .into_iter()
        .map(|n| n.expect("it ends"))
        .sum();
    println!("blocking {sum}");
}

async fn signals() {
    let mut usr1 = signal(SignalKind::user_defined1()).expect("a handler can be set");
    spawn_blocking(|| {
        unsafe extern "C" {
            fn raise(signal: i32) -> i32;
        }
        // SAFETY: raise takes any number.
        unsafe { raise(SignalKind::user_defined1().as_raw_value()) }
    });
    println!(
        "signal {}",
        timeout(Duration::from_secs(30), usr1.recv()).await.is_ok()
    );
}
