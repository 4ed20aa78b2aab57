//! Stand-ins for unit tests on the host: frames are boxes.

/// See the real `frame.rs`.
pub mod frame {
    use crate::errno::Errno;
    use alloc::sync::Arc;
    use spin::Mutex;

    /// A frame backed by the host's heap.
    #[derive(Clone, Debug)]
    pub struct Frame(Arc<Mutex<[u8; 4096]>>);

    impl Frame {
        /// A frame of zeros; never fails on the host.
        pub fn zeroed() -> Result<Frame, Errno> {
            Ok(Frame(Arc::new(Mutex::new([0; 4096]))))
        }
        /// A number that differs between frames.
        pub fn gpa(&self) -> u64 {
            Arc::as_ptr(&self.0).addr() as u64 & !4095
        }
        /// Copies out.
        pub fn read(&self, offset: usize, dst: &mut [u8]) {
            dst.copy_from_slice(&self.0.lock()[offset..offset + dst.len()]);
        }
        /// Copies in.
        pub fn write(&self, offset: usize, src: &[u8]) {
            self.0.lock()[offset..offset + src.len()].copy_from_slice(src);
        }
        /// Clears a part.
        pub fn clear(&self, offset: usize, len: usize) {
            self.0.lock()[offset..offset + len].fill(0);
        }
    }
}

/// A fixed figure.
pub fn available_bytes() -> u64 {
    128 << 20
}
/// A fixed figure.
pub fn limit_bytes() -> u64 {
    256 << 20
}
/// A fixed figure.
pub fn used_bytes() -> u64 {
    128 << 20
}
/// A fixed figure.
pub fn peak_bytes() -> u64 {
    128 << 20
}
/// A fixed figure.
pub fn arena_bytes() -> u64 {
    128 << 20
}
