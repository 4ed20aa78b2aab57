//! Random calls must never panic.
