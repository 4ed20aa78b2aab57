//! The bound on memory. Alone in its process, whose memory it takes up.

use unikiln_fuzz::memory;

#[test]
fn memory_has_a_bound() {
    let mut bytes: Vec<u8> = Vec::new();
    assert!(bytes.try_reserve_exact(memory::ONE_MAX_BYTES + 1).is_err());
    assert!(bytes.try_reserve_exact(memory::ONE_MAX_BYTES / 2).is_ok());
    assert!(memory::allocated_bytes() >= memory::ONE_MAX_BYTES / 2);
    let mut all: Vec<Vec<u8>> = Vec::new();
    let gets_more = |_| {
        let mut more: Vec<u8> = Vec::new();
        let gets = more.try_reserve_exact(memory::ONE_MAX_BYTES).is_ok();
        all.push(more);
        gets
    };
    // Reserved, never touched.
    assert!(!(0..=memory::ALL_MAX_BYTES / memory::ONE_MAX_BYTES).all(gets_more));
}
