//! Rewriting of what the compiler of this machine makes.
