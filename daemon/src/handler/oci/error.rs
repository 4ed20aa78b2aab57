//! What a handler's caller is told.

use super::conmon::ConmonError;
use super::process;
use super::rootfs::RootfsError;
use super::runtime::RuntimeError;
use crate::handler::{HandlerError, Launch, Process};

/// An error where the container's program does not run.
pub(super) fn must_run(launch: &Launch<'_>, process: Process) -> Result<(), HandlerError> {
    if process::is_alive(process) {
        return Ok(());
    }
    let text = format!("container {} does not run", launch.id);
    Err(HandlerError::Precondition(text))
}

/// An error with all that lies behind it.
pub(super) fn failed(
    what: &str,
    launch: &Launch<'_>,
    error: &dyn std::error::Error,
) -> HandlerError {
    let mut text = format!("cannot {what} for container {}: {error}", launch.id);
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    HandlerError::Failed(text)
}

impl From<RuntimeError> for HandlerError {
    fn from(error: RuntimeError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<ConmonError> for HandlerError {
    fn from(error: ConmonError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<RootfsError> for HandlerError {
    fn from(error: RootfsError) -> Self {
        Self::Failed(error.to_string())
    }
}
