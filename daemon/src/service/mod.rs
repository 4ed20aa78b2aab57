//! The gRPC edge: requests come in here, work is done elsewhere, and it blocks.

pub mod image;
