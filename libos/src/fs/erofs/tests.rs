//! Malformed images: any bytes are read without a panic.
