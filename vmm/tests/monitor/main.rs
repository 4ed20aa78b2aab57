//! The monitor with hand-made guests, as a library and as a program.

mod binary;
mod common;
mod container;
mod guests;
mod sockets;
mod vcpus;
