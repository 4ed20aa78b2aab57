//! Tokens: each stands for something that a client may do once, within a minute.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::rand::{GetRandomFlags, getrandom};

use super::StreamingError;

/// More than kubelet asks for in a minute.
const MAX: usize = 1000;
const RANDOM_BYTES: usize = 16;

/// What a token is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Granted {
    /// Forwarding ports of a pod.
    PortForward {
        netns: Option<PathBuf>,
        ports: Vec<u16>,
    },
}

/// Tokens that were not used yet.
#[derive(Debug)]
pub(super) struct Tokens {
    life: Duration,
    granted: Mutex<HashMap<String, (Instant, Granted)>>,
}

impl Tokens {
    pub(super) fn new(life: Duration) -> Self {
        Self {
            life,
            granted: Mutex::default(),
        }
    }

    /// A new token.
    pub(super) fn grant(&self, what: Granted) -> Result<String, StreamingError> {
        let mut random = [0; RANDOM_BYTES];
        // So few bytes come at once or not at all.
        getrandom(&mut random, GetRandomFlags::empty()).map_err(|errno| {
            StreamingError::Random {
                source: errno.into(),
            }
        })?;
        let token: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let now = Instant::now();
        let mut granted = self.granted.lock().unwrap_or_else(PoisonError::into_inner);
        granted.retain(|_, (until, _)| *until > now);
        if granted.len() >= MAX {
            return Err(StreamingError::TooMany {
                count: granted.len(),
            });
        }
        granted.insert(token.clone(), (now + self.life, what));
        Ok(token)
    }

    /// What it stands for; it is used up.
    pub(super) fn take(&self, token: &str) -> Option<Granted> {
        let mut granted = self.granted.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, what) = granted.remove(token)?;
        (until > Instant::now()).then_some(what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(port: u16) -> Granted {
        Granted::PortForward {
            netns: None,
            ports: vec![port],
        }
    }

    #[test]
    fn a_token_is_good_once() {
        let tokens = Tokens::new(Duration::from_secs(600));
        let (first, second) = (
            tokens.grant(granted(1)).unwrap(),
            tokens.grant(granted(2)).unwrap(),
        );
        assert_ne!(first, second);
        assert_eq!(first.len(), 2 * RANDOM_BYTES);
        assert_eq!(tokens.take("x"), None);
        assert_eq!(tokens.take(&second), Some(granted(2)));
        assert_eq!(tokens.take(&second), None);
        assert_eq!(tokens.take(&first), Some(granted(1)));
    }

    #[test]
    fn a_token_ends_and_they_are_not_without_number() {
        let tokens = Tokens::new(Duration::ZERO);
        let token = tokens.grant(granted(1)).unwrap();
        assert_eq!(tokens.take(&token), None);
        let tokens = Tokens::new(Duration::from_secs(600));
        let first = tokens.grant(granted(1)).unwrap();
        (1..MAX).for_each(|_| drop(tokens.grant(granted(1)).unwrap()));
        assert!(matches!(
            tokens.grant(granted(1)),
            Err(StreamingError::TooMany { count: MAX })
        ));
        tokens.take(&first).unwrap();
        tokens.grant(granted(1)).unwrap();
    }
}
