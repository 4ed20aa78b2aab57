//! A guest's run to its end, and what is told of it.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use unikiln_abi::stats::GuestStats;

use super::{Machine, Shared};
use crate::container::stats_lines;
use crate::error::Error;
use crate::hypercall::{GuestExit, lock};
use crate::log::Log;
use crate::outcome::{ExitReason, Outcome};
use crate::stats::StatsFormat;

/// How long the end of a guest waits for a vCPU thread that is writing the log:
/// its reader may have stopped reading.
const END_WAIT: Duration = Duration::from_secs(1);

impl Machine {
    /// What the run cost is to be in the log's last lines.
    pub fn keep_stats_in_log(&mut self, format: Option<StatsFormat>) {
        if let Some(format) = format {
            let _ = self.shared.log_stats.set(format);
        }
    }

    /// Runs the guest to its end, vCPU 0 on this thread.
    pub fn run(self) -> Result<Outcome, Error> {
        let Self { first, shared } = self;
        lock(&shared.recorder).mark("first_run");
        first.run();
        shared.wait_for_threads();
        shared.host.net.finish();
        let end = lock(&shared.end).take();
        // Every way out of the run loop leaves an end.
        let (reason, guest_stats) = end.unwrap_or_else(|| {
            let lost = crate::fault::GuestFault::RunFailed {
                errno: libc::EOWNERDEAD,
            };
            Ok((ExitReason::Fault(lost), None))
        })?;
        shared.explain(reason);
        Ok(shared.outcome(reason, guest_stats.as_ref()))
    }
}

impl Shared {
    fn wait_for_threads(&self) {
        let until = Instant::now() + END_WAIT;
        let mut end = lock(&self.end);
        while self.host.vcpus.running() > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            // A thread ends without the lock: look again soon.
            let left = left.min(Duration::from_millis(1));
            end = match self.thread_ended.wait_timeout(end, left) {
                Ok((end, _)) => end,
                Err(_) => return,
            };
        }
    }

    /// Says in the log what the exit code alone would leave open.
    fn explain(&self, reason: ExitReason) {
        let memory_bytes = self.memory_bytes.load(Ordering::Relaxed);
        let text = match reason {
            ExitReason::Guest(GuestExit::MemoryTooSmall) => format!(
                "unikiln: {} MiB of memory are too little to start the program; give it more (--memory {}M)\n",
                memory_bytes >> 20,
                (memory_bytes * 2).max(self.needed_bytes).div_ceil(1 << 20),
            ),
            ExitReason::Guest(GuestExit::OomKilled) => format!(
                "unikiln: OOMKilled: the program needs more than its memory limit of {} MiB\n",
                memory_bytes >> 20,
            ),
            ExitReason::Guest(GuestExit::WrongAbi(version)) => format!(
                "unikiln: the libOS speaks ABI version {version}, this monitor {}; rebuild the file with `unikiln build`\n",
                unikiln_abi::ABI_VERSION,
            ),
            _ => return,
        };
        let _ = lock(&self.host.log).write_text(&text);
    }

    fn outcome(&self, reason: ExitReason, guest_stats: Option<&GuestStats>) -> Outcome {
        let mut recorder = lock(&self.recorder);
        let mut log = lock(&self.host.log);
        recorder.mark_at("first_log", log.first_tsc().unwrap_or(0));
        recorder.mark("exit");
        let clock = lock(&self.host.clock);
        let mut stats = recorder.finish(guest_stats, clock.tsc_khz(), clock.tsc_offset());
        stats.arena_bytes = self.host.memory.total_bytes();
        stats.sockets = self.host.net.stats();
        stats.log_bytes = log.len_bytes();
        // Whoever asks for statistics meanwhile need not wait for the disk.
        drop((recorder, clock));
        if let Some(format) = self.log_stats.get() {
            let _ = log.write_text(&stats_lines(*format, &stats));
        }
        log.finish();
        Outcome {
            exit_code: reason.code(),
            reason,
            message: message(reason, &log),
            has_started: self.host.started.has(),
            stats,
        }
    }
}

/// What a container's status says of its end, in a line.
fn message(reason: ExitReason, log: &Log) -> String {
    let line = match reason {
        ExitReason::Guest(GuestExit::Exited(_)) => None,
        ExitReason::Guest(GuestExit::Signaled(_) | GuestExit::LibosPanic)
        | ExitReason::Fault(_) => log.record_line(),
        ExitReason::Guest(
            GuestExit::OomKilled
            | GuestExit::ExecFailed(_)
            | GuestExit::MemoryTooSmall
            | GuestExit::WrongAbi(_),
        ) => log.own_line(),
    };
    line.unwrap_or_default().to_owned()
}
