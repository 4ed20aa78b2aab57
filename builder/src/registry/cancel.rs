//! Giving up: another thread says so, and a pull or a push ends at its next wait.
//! Blobs that are under way stay in the store, and the next pull resumes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use super::error::RegistryError;

/// Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    is_set: AtomicBool,
    news: Notify,
}

impl Cancel {
    /// Ends what it was given to, now or as soon as it begins.
    pub fn cancel(&self) {
        self.shared.is_set.store(true, Ordering::Release);
        // Kept for the one that waits, also if it begins to wait later.
        self.shared.news.notify_one();
    }

    /// Whether somebody did.
    pub fn is_cancelled(&self) -> bool {
        self.shared.is_set.load(Ordering::Acquire)
    }

    async fn wait(&self) {
        while !self.is_cancelled() {
            self.shared.news.notified().await;
        }
    }
}

/// Runs `work` on this thread until it is done or cancelled.
pub(super) fn run<T>(
    cancel: &Cancel,
    work: impl Future<Output = Result<T, RegistryError>>,
) -> Result<T, RegistryError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(RegistryError::Runtime)?;
    runtime.block_on(async {
        tokio::select! {
            biased;
            () = cancel.wait() => Err(RegistryError::Cancelled),
            result = work => result,
        }
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Cancel, RegistryError, run};

    #[test]
    fn a_wait_ends_from_another_thread() {
        let cancel = Cancel::default();
        let other = cancel.clone();
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            other.cancel();
        });
        let forever = std::future::pending::<Result<(), RegistryError>>();
        let result = run(&cancel, forever);
        assert!(matches!(result, Err(RegistryError::Cancelled)));
        thread.join().expect("no panic");
        let result = run(&cancel, async { Ok(()) });
        assert!(matches!(result, Err(RegistryError::Cancelled)));
    }
}
