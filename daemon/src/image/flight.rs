//! Pulls on their way. Who wants the same image with the same credentials waits for the same
//! pull, which has a thread of its own.
//!
//! ```text
//! board ─► the first: a new thread ─┬─► landed: all who wait have the result
//!       └► others: wait for it      └─► the last who waited is gone: cancelled
//! ```
//!
//! A pull that nobody waits for any more is cancelled at once, as with containerd: kubelet asks
//! again when it still wants the image. Blobs that are whole stay, those under way are resumed,
//! so little is lost.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use unikiln_builder::registry::{Cancel, Credentials};

use super::{ImageError, LocalImage};

/// More at once than any kubelet wants.
const FLIGHTS_MAX: usize = 256;

/// What makes two pulls one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// The whole name.
    pub(super) name: String,
    /// Others must not get by them what they may not have.
    pub(super) credentials: Credentials,
    /// Whether a unikernel is made of it.
    pub(super) converts: bool,
}

type Landing = Result<LocalImage, ImageError>;

/// All pulls on their way.
#[derive(Debug, Default)]
pub(super) struct Flights {
    list: Mutex<Vec<Arc<Flight>>>,
}

#[derive(Debug)]
struct Flight {
    key: Key,
    cancel: Cancel,
    state: Mutex<State>,
    /// For threads that wait,
    landed: Condvar,
    /// and for tasks.
    news: Notify,
}

#[derive(Debug)]
struct State {
    /// How many wait. Changed with the list locked, too.
    passengers: usize,
    landing: Option<Landing>,
}

/// A pull that one waits for. The last one that is dropped ends it.
#[derive(Debug)]
pub struct Pull {
    flights: Arc<Flights>,
    flight: Arc<Flight>,
}

/// Tells all who wait, whatever becomes of the thread.
struct Landed {
    flights: Arc<Flights>,
    flight: Arc<Flight>,
}

impl Flights {
    /// Joins the pull of `key`, or begins it: `work` runs in a new thread.
    pub(super) fn board(
        self: &Arc<Self>,
        key: Key,
        work: impl FnOnce(&Cancel) -> Landing + Send + 'static,
    ) -> Result<Pull, ImageError> {
        let mut list = lock(&self.list);
        if let Some(flight) = list.iter().find(|flight| flight.key == key) {
            lock(&flight.state).passengers += 1;
            return Ok(self.pull(flight));
        }
        if list.len() >= FLIGHTS_MAX {
            return Err(ImageError::TooManyPulls {
                name: key.name,
                limit: FLIGHTS_MAX,
            });
        }
        let flight = Arc::new(Flight {
            key,
            cancel: Cancel::default(),
            state: Mutex::new(State {
                passengers: 1,
                landing: None,
            }),
            landed: Condvar::new(),
            news: Notify::new(),
        });
        let landed = Landed {
            flights: Arc::clone(self),
            flight: Arc::clone(&flight),
        };
        let thread = std::thread::Builder::new().name("pull".to_owned());
        let spawned = thread.spawn(move || {
            let landing = work(&landed.flight.cancel);
            lock(&landed.flight.state).landing = Some(landing);
            drop(landed);
        });
        if let Err(error) = spawned {
            tracing::error!(%error, "cannot start a thread for a pull");
            return Err(flight.no_thread());
        }
        list.push(Arc::clone(&flight));
        Ok(self.pull(&flight))
    }

    /// How many wait for pulls.
    pub(super) fn passengers(&self) -> usize {
        let list = lock(&self.list);
        list.iter()
            .map(|flight| lock(&flight.state).passengers)
            .sum()
    }

    fn pull(self: &Arc<Self>, flight: &Arc<Flight>) -> Pull {
        Pull {
            flights: Arc::clone(self),
            flight: Arc::clone(flight),
        }
    }

    fn remove(list: &mut Vec<Arc<Flight>>, flight: &Arc<Flight>) {
        list.retain(|one| !Arc::ptr_eq(one, flight));
    }
}

impl Flight {
    fn no_thread(&self) -> ImageError {
        ImageError::Thread {
            name: self.key.name.clone(),
        }
    }
}

impl Pull {
    /// Waits for it on this thread.
    pub fn wait(self) -> Landing {
        let mut state = lock(&self.flight.state);
        loop {
            if let Some(landing) = &state.landing {
                return landing.clone();
            }
            let woken = self.flight.landed.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits for it in a task. Dropped before it is there, the pull may end: see above.
    pub async fn landing(self) -> Landing {
        loop {
            let news = self.flight.news.notified();
            tokio::pin!(news);
            // From here on, no news is missed.
            news.as_mut().enable();
            if let Some(landing) = &lock(&self.flight.state).landing {
                return landing.clone();
            }
            news.await;
        }
    }
}

impl Drop for Pull {
    fn drop(&mut self) {
        // Locked, so that nobody boards one that is cancelled.
        let mut list = lock(&self.flights.list);
        let mut state = lock(&self.flight.state);
        state.passengers -= 1;
        if state.passengers == 0 && state.landing.is_none() {
            Flights::remove(&mut list, &self.flight);
            self.flight.cancel.cancel();
        }
    }
}

impl Drop for Landed {
    fn drop(&mut self) {
        let mut list = lock(&self.flights.list);
        let mut state = lock(&self.flight.state);
        // There is none where the thread panicked.
        let missing = self.flight.no_thread();
        state.landing.get_or_insert(Err(missing));
        Flights::remove(&mut list, &self.flight);
        drop(state);
        drop(list);
        self.flight.landed.notify_all();
        self.flight.news.notify_waiters();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::sync::{Arc, Barrier};

    use unikiln_builder::registry::Credentials;

    use super::{FLIGHTS_MAX, Flights, ImageError, Key, LocalImage};

    fn key(name: &str) -> Key {
        Key {
            name: name.to_owned(),
            credentials: Credentials::Anonymous,
            converts: false,
        }
    }

    fn image(id: &str) -> LocalImage {
        LocalImage {
            id: id.to_owned(),
            ..LocalImage::default()
        }
    }

    fn never(_: &unikiln_builder::registry::Cancel) -> Result<LocalImage, ImageError> {
        panic!("it is on its way already")
    }

    #[test]
    fn the_same_pull_is_made_once_for_all() {
        let flights = Arc::new(Flights::default());
        let (go, wait) = mpsc::channel::<()>();
        let first = flights.board(key("a"), move |_| {
            wait.recv().expect("the test goes on");
            Ok(image("1"))
        });
        let first = first.expect("it begins");
        let others: Vec<_> = (0..8)
            .map(|_| flights.board(key("a"), never).expect("it is joined"))
            .collect();
        // With other credentials it is another one.
        let other = Key {
            credentials: Credentials::RegistryToken("t".to_owned()),
            ..key("a")
        };
        let other = flights.board(other, |_| Ok(image("2"))).expect("it begins");
        assert_eq!(other.wait().expect("pulled").id, "2");
        go.send(()).expect("it waits");
        for pull in others.into_iter().chain([first]) {
            assert_eq!(pull.wait().expect("pulled").id, "1");
        }
        // It is over: the next is a new one.
        let again = flights
            .board(key("a"), |_| Ok(image("3")))
            .expect("it begins");
        assert_eq!(again.wait().expect("pulled").id, "3");
    }

    #[test]
    fn the_last_who_leaves_ends_it() {
        let flights = Arc::new(Flights::default());
        let (said, heard) = mpsc::channel();
        let (go, wait) = mpsc::channel::<()>();
        let work = move |cancel: &unikiln_builder::registry::Cancel| {
            wait.recv().expect("the test goes on");
            said.send(cancel.is_cancelled()).expect("the test listens");
            Ok(image("1"))
        };
        let first = flights.board(key("a"), work).expect("it begins");
        let second = flights.board(key("a"), never).expect("it is joined");
        drop(first);
        assert!(!second.flight.cancel.is_cancelled());
        drop(second);
        // The cancelled one is not joined, though it still runs.
        let next = flights
            .board(key("a"), |_| Ok(image("2")))
            .expect("it begins");
        go.send(()).expect("it waits");
        assert!(heard.recv().expect("it says"));
        assert_eq!(next.wait().expect("pulled").id, "2");
    }

    #[test]
    fn a_pull_that_panics_is_an_error_for_all() {
        let flights = Arc::new(Flights::default());
        let barrier = Arc::new(Barrier::new(2));
        let at = Arc::clone(&barrier);
        let first = flights.board(key("a"), move |_| {
            at.wait();
            panic!("as the test wants");
        });
        let second = flights.board(key("a"), never).expect("it is joined");
        barrier.wait();
        for pull in [first.expect("it begins"), second] {
            let error = pull.wait().expect_err("no image");
            assert!(matches!(error, ImageError::Thread { .. }), "{error}");
        }
    }

    #[test]
    fn there_is_an_end_to_how_many_run() {
        let flights = Arc::new(Flights::default());
        let gate = Arc::new(std::sync::RwLock::new(()));
        let closed = gate.write().expect("nobody panics");
        let pulls: Vec<_> = (0..FLIGHTS_MAX)
            .map(|number| {
                let gate = Arc::clone(&gate);
                let work = move |_: &unikiln_builder::registry::Cancel| {
                    drop(gate.read());
                    Ok(image("1"))
                };
                flights
                    .board(key(&number.to_string()), work)
                    .expect("it begins")
            })
            .collect();
        let error = flights.board(key("more"), never).expect_err("too many");
        assert_eq!(error.code(), tonic::Code::ResourceExhausted);
        drop(closed);
        for pull in pulls {
            pull.wait().expect("pulled");
        }
    }

    #[test]
    fn a_task_waits_too() {
        let flights = Arc::new(Flights::default());
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.expect("a runtime");
        let (go, wait) = mpsc::channel::<()>();
        let pull = flights.board(key("a"), move |_| {
            wait.recv().expect("the test goes on");
            Ok(image("1"))
        });
        let pull = pull.expect("it begins");
        let landed = runtime.block_on(async {
            let landing = pull.landing();
            go.send(()).expect("it waits");
            landing.await
        });
        assert_eq!(landed.expect("pulled").id, "1");
    }
}
