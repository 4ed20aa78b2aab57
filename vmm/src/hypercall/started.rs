//! `STARTED []`: the program is loaded and runs next.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Host, lock};

/// What is done then.
pub struct OnStart(Box<dyn FnOnce() + Send>);

impl OnStart {
    /// Calls this.
    pub fn new(call: impl FnOnce() + Send + 'static) -> Self {
        Self(Box::new(call))
    }
}

impl fmt::Debug for OnStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnStart")
    }
}

/// Whether the program runs.
#[derive(Debug, Default)]
pub struct Started {
    has: AtomicBool,
    on_start: Mutex<Option<OnStart>>,
}

impl Started {
    /// Not yet.
    pub fn new(on_start: Option<OnStart>) -> Self {
        Self {
            has: AtomicBool::new(false),
            on_start: Mutex::new(on_start),
        }
    }

    /// Whether it does; never where nobody asked.
    pub fn has(&self) -> bool {
        self.has.load(Ordering::SeqCst)
    }
}

pub(super) fn handle(host: &Host) -> i64 {
    // A guest that says so again tells nothing new.
    let on_start = lock(&host.started.on_start).take();
    if let Some(OnStart(call)) = on_start {
        host.started.has.store(true, Ordering::SeqCst);
        call();
    }
    0
}
