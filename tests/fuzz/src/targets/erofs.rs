//! Root file systems, as the libOS reads them.

#![expect(
    unsafe_code,
    reason = "the libOS reads images that live as long as the guest"
)]

use super::layer;
use crate::{Random, Target, mutate};

/// The target.
pub const TARGET: Target = Target {
    name: "erofs",
    max_bytes: 96 << 10,
    run,
    mend: |input, random| mend(input, random),
    seeds,
};

const SUPERBLOCK: usize = 1024;
const MAGIC: [u8; 4] = 0xe0f5_e1e2_u32.to_le_bytes();
const BLOCK_BYTES: usize = 4096;
const SLOT_BYTES: usize = 32;

fn run(input: &[u8]) {
    // SAFETY: the reader keeps nothing of the image when it returns, and what it
    // hands out stays inside it; the input outlives the call.
    let image = unsafe { std::mem::transmute::<&[u8], &'static [u8]>(input) };
    unikiln_libos::fs::read_image(image);
}

/// Keeps the superblock readable, and changes inodes and directories.
fn mend(input: &mut [u8], random: &mut Random) {
    if input.len() < 2 * BLOCK_BYTES || random.chance(10) {
        return;
    }
    input[SUPERBLOCK..SUPERBLOCK + 4].copy_from_slice(&MAGIC);
    input[SUPERBLOCK + 12] = 12;
    input[SUPERBLOCK + 80..SUPERBLOCK + 84].fill(0);
    if random.chance(50) {
        let slots = (input.len() - BLOCK_BYTES) / SLOT_BYTES;
        let at = BLOCK_BYTES + random.below(slots.min(64)) * SLOT_BYTES;
        let mut slot = input[at..at + SLOT_BYTES].to_vec();
        mutate::bytes(&mut slot, SLOT_BYTES, random);
        slot.resize(SLOT_BYTES, 0);
        input[at..at + SLOT_BYTES].copy_from_slice(&slot);
    }
}

/// What the builder makes of the layers among the seeds.
fn seeds() -> Vec<Vec<u8>> {
    let layers = layer::seeds();
    let images: Vec<_> = layers
        .iter()
        .filter_map(|stream| unikiln_builder::fuzz::layer(stream))
        .collect();
    assert!(images.len() > 1, "layers of seeds are refused");
    images
}
