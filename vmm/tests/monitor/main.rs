//! The monitor with hand-made guests, as a library and as a program.

mod assembled;
mod binary;
mod container;
mod guests;
mod sockets;
mod vcpus;
