//! Timers that are read as files (`timerfd`).

use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_raw_sys::general::{EPOLLIN, O_RDWR, TFD_TIMER_ABSTIME};
use spin::Mutex;

use super::attributes::{ANONYMOUS_DEVICE, Attributes};
use super::open_file::{File, OpenFile, Readiness};
use super::readiness::Watchers;
use super::transfer::Sink;
use crate::errno::{Errno, SysResult};
use crate::sched::{self, WaitQueue};
use crate::time;

const INO: u64 = 4 << 20;
const NSEC: u64 = 1_000_000_000;

/// What a timer counts by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerClock {
    /// CLOCK_MONOTONIC and CLOCK_BOOTTIME.
    Monotonic,
    /// CLOCK_REALTIME.
    Realtime,
}

impl TimerClock {
    fn now_ns(self) -> u64 {
        match self {
            TimerClock::Monotonic => time::monotonic_ns(),
            TimerClock::Realtime => time::realtime_ns(),
        }
    }
}

/// When a timer expires, and how often after that; 0 is never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Setting {
    /// The next time: from now on when read, see [`TimerFile::set`] when set.
    pub first_ns: u64,
    /// From one time to the next.
    pub interval_ns: u64,
}

#[derive(Default)]
struct State {
    /// On the timer's clock; 0 is disarmed.
    expires_ns: u64,
    interval_ns: u64,
    /// `TFD_TIMER_*` flags that it was set with.
    flags: u32,
    /// Times that it was set, and expirations that are no longer to be read:
    /// with those that are, a number that only grows.
    past: u64,
}

impl State {
    /// Expirations that were not read yet.
    fn expirations(&self, now: u64) -> u64 {
        match (self.expires_ns, self.interval_ns) {
            (0, _) => 0,
            (expires, _) if now < expires => 0,
            (_, 0) => 1,
            (expires, interval) => 1 + (now - expires) / interval,
        }
    }
}

/// See the module documentation.
pub struct TimerFile {
    clock: TimerClock,
    /// `CLOCK_*` as it was asked for.
    clock_id: u32,
    state: Mutex<State>,
    changed: WaitQueue,
    watchers: Watchers,
}

/// A new disarmed timer.
pub fn open(clock: TimerClock, clock_id: u32, flags: u32) -> Arc<OpenFile> {
    let timer = TimerFile {
        clock,
        clock_id,
        state: Mutex::new(State::default()),
        changed: WaitQueue::new(),
        watchers: Watchers::new(),
    };
    OpenFile::new(timer, O_RDWR | flags, None)
}

impl TimerFile {
    /// Arms or disarms it with `TFD_TIMER_*` flags: the first time may be by the
    /// clock. Gives the setting before.
    pub fn set(&self, setting: Setting, flags: u32) -> Setting {
        let absolute = flags & TFD_TIMER_ABSTIME != 0;
        let before = self.get();
        let now = self.clock.now_ns();
        {
            let mut state = self.state.lock();
            state.past += 1 + state.expirations(now);
            state.expires_ns = match (setting.first_ns, absolute) {
                (0, _) => 0,
                (first, true) => first,
                (first, false) => now.saturating_add(first),
            };
            state.interval_ns = setting.interval_ns;
            state.flags = flags;
        }
        self.changed.wake_all();
        self.watchers.notify(0);
        before
    }

    /// Time to the next expiration, and the interval.
    pub fn get(&self) -> Setting {
        let now = self.clock.now_ns();
        let state = self.state.lock();
        let first_ns = match (state.expires_ns, state.interval_ns) {
            (0, _) => 0,
            (expires, _) if now < expires => expires - now,
            (_, 0) => 0,
            (expires, interval) => interval - (now - expires) % interval,
        };
        Setting {
            first_ns,
            interval_ns: state.interval_ns,
        }
    }

    fn try_read(&self) -> Option<u64> {
        let now = self.clock.now_ns();
        let mut state = self.state.lock();
        let count = state.expirations(now);
        if count == 0 {
            return None;
        }
        state.past += count;
        state.expires_ns = match state.interval_ns {
            0 => 0,
            interval => state
                .expires_ns
                .saturating_add(count.saturating_mul(interval)),
        };
        Some(count)
    }

    /// The next expiration by CLOCK_MONOTONIC.
    fn expires_monotonic_ns(&self) -> Option<u64> {
        let expires = self.state.lock().expires_ns;
        let left = expires.saturating_sub(self.clock.now_ns());
        (expires != 0).then(|| time::monotonic_ns().saturating_add(left))
    }
}

impl File for TimerFile {
    fn attributes(&self) -> Result<Attributes, Errno> {
        Ok(Attributes::generated(ANONYMOUS_DEVICE, INO, 0o600))
    }

    fn read(&self, _offset: u64, nonblocking: bool, sink: &mut dyn Sink) -> SysResult {
        if sink.remaining() < 8 {
            return Err(Errno::EINVAL);
        }
        let count = loop {
            let seen = self.state.lock().past;
            match self.try_read() {
                Some(count) => break count,
                None if nonblocking => return Err(Errno::EAGAIN),
                None => {}
            }
            let step = || match self.try_read() {
                Some(count) => Some(Some(count)),
                // Set or read by another thread: the wait is for another time now.
                None => (self.state.lock().past != seen).then_some(None),
            };
            match sched::wait(&self.changed, self.expires_monotonic_ns(), step) {
                Ok(Some(count)) => break count,
                // The expiration, or another time for it: look again.
                Ok(None) | Err(Errno::ETIMEDOUT) => {}
                Err(errno) => return Err(errno),
            }
        };
        sink.put(&count.to_le_bytes())?;
        Ok(8)
    }

    fn stays_at_start(&self) -> bool {
        true
    }

    fn readiness(&self) -> Readiness {
        let now = self.clock.now_ns();
        let state = self.state.lock();
        let count = state.expirations(now);
        let events = if count > 0 { EPOLLIN } else { 0 };
        Readiness {
            events,
            generation: state.past.wrapping_add(count),
        }
    }

    fn watchers(&self) -> [Option<&Watchers>; 2] {
        [Some(&self.watchers), None]
    }

    fn changes_untold(&self) -> bool {
        true
    }

    fn wakes_at_ns(&self) -> Option<u64> {
        self.expires_monotonic_ns()
    }

    fn as_timer(&self) -> Option<&TimerFile> {
        Some(self)
    }

    fn label(&self) -> Option<Vec<u8>> {
        Some(b"anon_inode:[timerfd]".to_vec())
    }

    fn info(&self) -> Vec<u8> {
        let setting = self.get();
        let now = self.clock.now_ns();
        let (ticks, flags) = {
            let state = self.state.lock();
            (state.expirations(now), state.flags)
        };
        let clock = self.clock_id;
        let time = |ns: u64| alloc::format!("({}, {})", ns / NSEC, ns % NSEC);
        let (first, interval) = (time(setting.first_ns), time(setting.interval_ns));
        alloc::format!(
            "clockid: {clock}\nticks: {ticks}\nsettime flags: {flags:02o}\nit_value: {first}\nit_interval: {interval}\n"
        )
        .into_bytes()
    }
}
