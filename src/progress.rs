//! Progress bars for what takes longer than half a second, on a terminal only:
//! one for a build, one for each blob of a pull or push.

use std::collections::HashMap;
use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use unikiln_builder::{Progress, Step, Transfer};

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
    blobs: HashMap<String, Blob>,
    all: Option<MultiProgress>,
}

/// A blob on its way.
#[derive(Debug)]
struct Blob {
    total_bytes: u64,
    bar: Option<ProgressBar>,
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
            blobs: HashMap::new(),
            all: None,
        }
    }

    fn blob_at(&mut self, digest: &str, bytes: u64) {
        let is_due = self.on_terminal && self.started.elapsed() >= PATIENCE;
        let Some(blob) = self.blobs.get_mut(digest).filter(|_| is_due) else {
            return;
        };
        let all = self.all.get_or_insert_with(MultiProgress::new);
        let bar = blob.bar.get_or_insert_with(|| {
            let bar = all.add(ProgressBar::new(blob.total_bytes));
            if let Ok(style) = ProgressStyle::with_template(
                "{msg:12} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}",
            ) {
                bar.set_style(style);
            }
            bar.set_message(short(digest));
            bar
        });
        bar.set_position(bytes);
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

    fn transfer(&mut self, news: Transfer<'_>) {
        match news {
            Transfer::Begin {
                digest,
                total_bytes,
            } => {
                let blob = Blob {
                    total_bytes,
                    bar: None,
                };
                self.blobs.insert(digest.to_owned(), blob);
            }
            Transfer::At { digest, bytes } => self.blob_at(digest, bytes),
            Transfer::End { digest, .. } => {
                if let Some(bar) = self.blobs.remove(digest).and_then(|blob| blob.bar) {
                    bar.finish_and_clear();
                }
            }
            Transfer::Note(text) => match &self.all {
                // Between bars a line must not tear them.
                Some(all) => all.suspend(|| eprintln!("unikiln: {text}")),
                None => eprintln!("unikiln: {text}"),
            },
        }
    }
}

/// Twelve digits of a digest, as docker shows them.
fn short(digest: &str) -> String {
    let digits = digest.split_once(':').map_or(digest, |(_, digits)| digits);
    digits.chars().take(12).collect()
}

impl Drop for Bar {
    /// The terminal belongs to the program that runs next.
    fn drop(&mut self) {
        if let Some(bar) = self.shown.take() {
            bar.finish_and_clear();
        }
        if let Some(all) = self.all.take() {
            // A bar that cannot be wiped stays; nothing else is wrong.
            let _ = all.clear();
        }
    }
}
