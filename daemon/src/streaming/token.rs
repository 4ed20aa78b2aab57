//! Tokens: each stands for something that a client may do once, within a minute.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::rand::{GetRandomFlags, getrandom};

use super::StreamingError;
use super::program::Asked;

/// More than kubelet asks for in a minute.
const MAX: usize = 1000;
const RANDOM_BYTES: usize = 16;

/// What a token is for.
#[derive(Debug)]
pub(super) enum Granted {
    /// Forwarding ports of a pod.
    PortForward {
        netns: Option<PathBuf>,
        ports: Vec<u16>,
    },
    /// A command in a container.
    Exec(Asked),
    /// A container's own program.
    Attach(Asked),
}

impl Granted {
    /// Where its URL begins.
    pub(super) fn path(&self) -> &'static str {
        match self {
            Self::PortForward { .. } => "portforward",
            Self::Exec(_) => "exec",
            Self::Attach(_) => "attach",
        }
    }
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

    /// The path of a new token: what it is for, and the token.
    pub(super) fn grant(&self, what: Granted) -> Result<String, StreamingError> {
        let mut random = [0; RANDOM_BYTES];
        // So few bytes come at once or not at all.
        getrandom(&mut random, GetRandomFlags::empty()).map_err(|errno| {
            StreamingError::Random {
                source: errno.into(),
            }
        })?;
        let random: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = format!("{}/{random}", what.path());
        let now = Instant::now();
        let mut granted = self.granted.lock().unwrap_or_else(PoisonError::into_inner);
        granted.retain(|_, (until, _)| *until > now);
        if granted.len() >= MAX {
            return Err(StreamingError::TooMany {
                count: granted.len(),
            });
        }
        granted.insert(path.clone(), (now + self.life, what));
        Ok(path)
    }

    /// What it stands for; it is used up.
    pub(super) fn take(&self, path: &str) -> Option<Granted> {
        let mut granted = self.granted.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, what) = granted.remove(path)?;
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
        assert_eq!(first.len(), "portforward/".len() + 2 * RANDOM_BYTES);
        assert!(tokens.take("x").is_none());
        let take = |path: &str| match tokens.take(path) {
            Some(Granted::PortForward { ports, .. }) => ports,
            _ => Vec::new(),
        };
        assert_eq!(take(&first.replace("portforward", "exec")), [0; 0]);
        assert_eq!(take(&second), [2]);
        assert_eq!(take(&second), [0; 0]);
        assert_eq!(take(&first), [1]);
    }

    #[test]
    fn a_token_ends_and_they_are_not_without_number() {
        let tokens = Tokens::new(Duration::ZERO);
        let token = tokens.grant(granted(1)).unwrap();
        assert!(tokens.take(&token).is_none());
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
