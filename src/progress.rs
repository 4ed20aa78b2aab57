//! A progress bar for what takes longer than half a second, on a terminal only.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use unikiln_builder::{Progress, Step};

/// Shorter than this nobody wants to see a bar.
const PATIENCE: Duration = Duration::from_millis(500);

/// Shows how far the builder has come.
#[derive(Debug)]
pub(crate) struct Bar {
    started: Instant,
    on_terminal: bool,
    step: &'static str,
    total_bytes: u64,
    done_bytes: u64,
    shown: Option<ProgressBar>,
}

impl Bar {
    /// Nothing is drawn yet.
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            on_terminal: stderr().is_terminal(),
            step: "",
            total_bytes: 0,
            done_bytes: 0,
            shown: None,
        }
    }

    fn draw(&mut self) {
        if !self.on_terminal || self.started.elapsed() < PATIENCE {
            return;
        }
        let bar = self.shown.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            if let Ok(style) =
                ProgressStyle::with_template("{msg:10} {wide_bar} {bytes}/{total_bytes} {eta}")
            {
                bar.set_style(style);
            }
            bar
        });
        bar.set_message(self.step);
        bar.set_length(self.total_bytes);
        bar.set_position(self.done_bytes);
    }
}

impl Progress for Bar {
    fn begin(&mut self, step: Step, total_bytes: u64) {
        self.step = match step {
            Step::Unpack => "unpacking",
            Step::Write => "writing",
        };
        self.total_bytes = total_bytes;
        self.done_bytes = 0;
        self.draw();
    }

    fn advance(&mut self, bytes: u64) {
        self.done_bytes += bytes;
        self.draw();
    }
}

impl Drop for Bar {
    /// The terminal belongs to the program that runs next.
    fn drop(&mut self) {
        if let Some(bar) = self.shown.take() {
            bar.finish_and_clear();
        }
    }
}
