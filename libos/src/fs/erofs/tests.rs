//! Malformed images: whatever the bytes are, reading them ends without a panic.

use std::vec::Vec;

use super::Image;
use super::walk::read_everything;
use crate::fs::tests::{make_image, pattern};

/// A small deterministic generator, so that a failure can be repeated.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        self.0 >> 33
    }
}

fn small_image(name: &str) -> Option<&'static [u8]> {
    let top = std::env::temp_dir().join(format!("unikiln-erofs-{name}-{}", std::process::id()));
    std::fs::create_dir_all(top.join("directory/inner")).expect("makes directories");
    std::fs::write(top.join("directory/file"), pattern(5000)).expect("writes");
    std::fs::write(top.join("small"), b"tail").expect("writes");
    std::os::unix::fs::symlink("small", top.join("link")).expect("links");
    let image = make_image(&top, &[]);
    let _ = std::fs::remove_dir_all(&top);
    let _ = std::fs::remove_file(top.with_extension("erofs"));
    image
}

#[test]
fn random_bytes_do_not_panic() {
    let mut noise = Noise(1);
    for _ in 0..200 {
        let mut bytes: Vec<u8> = (0..16384).map(|_| noise.next() as u8).collect();
        bytes[1024..1028].copy_from_slice(&super::MAGIC.to_le_bytes());
        bytes[1036] = 12;
        bytes[1064..1068].copy_from_slice(&0u32.to_le_bytes());
        bytes[1104..1108].copy_from_slice(&0u32.to_le_bytes());
        if let Ok(image) = Image::from_slice(bytes.leak()) {
            read_everything(&image);
        }
    }
}

#[test]
fn flipped_bytes_do_not_panic() {
    let Some(good) = small_image("flipped") else {
        return;
    };
    read_everything(&Image::from_slice(good).expect("mounts"));
    let mut noise = Noise(2);
    for _ in 0..500 {
        let mut bytes = good.to_vec();
        for _ in 0..1 + noise.next() % 8 {
            let at = 1024 + noise.next() as usize % (bytes.len() - 1024);
            bytes[at] = noise.next() as u8;
        }
        if let Ok(image) = Image::from_slice(bytes.leak()) {
            read_everything(&image);
        }
    }
}

#[test]
fn truncated_images_do_not_panic() {
    let Some(good) = small_image("truncated") else {
        return;
    };
    for len in (0..good.len()).step_by(397) {
        if let Ok(image) = Image::from_slice(&good[..len]) {
            read_everything(&image);
        }
    }
}
