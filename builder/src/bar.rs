//! The progress bar of the command line, for what takes longer than a moment.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use unikiln_builder::{Progress, Step};

/// What takes less shows no bar.
const QUIET: Duration = Duration::from_millis(500);
const TEMPLATE: &str = "{msg} {wide_bar} {bytes}/{total_bytes}";

/// A bar that appears after a moment, and only on a terminal.
pub(crate) struct Bar {
    start: Instant,
    bar: ProgressBar,
}

impl Bar {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            bar: ProgressBar::hidden(),
        }
    }
}

impl Progress for Bar {
    fn begin(&mut self, step: Step, total_bytes: u64) {
        let message = match step {
            Step::Unpack => "unpacking",
            Step::Write => "writing",
        };
        self.bar.finish_and_clear();
        self.bar = ProgressBar::hidden().with_message(message);
        self.bar.set_length(total_bytes);
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            self.bar.set_style(style);
        }
    }

    fn advance(&mut self, bytes: u64) {
        self.bar.inc(bytes);
        if self.bar.is_hidden() && self.start.elapsed() > QUIET {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
