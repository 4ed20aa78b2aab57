//! Files with any bytes changed: never a panic, never a file that grew beyond reason.

use std::time::{Duration, Instant};

use super::{compile, rewrite};

/// Mutations of each file.
const ROUNDS: u64 = 10_000;
const TIME: Duration = Duration::from_secs(10);

/// Numbers that look random and are the same each time (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

const TEXT: &str = "
static inline __attribute__((always_inline)) long call(long number) { long r; __asm__ volatile(\"syscall\" : \"=a\"(r) : \"a\"(number) : \"rcx\", \"r11\", \"memory\"); return r; }
long many(int which) {
    switch (which) { case 0: return call(1); case 1: return call(39) + 1; case 2: return call(110) * 3;
    case 3: return call(60) - 7; case 4: return call(0); case 5: return call(102) & 12; default: return -1; }
}
void _start(void) { many(call(186)); call(231); }
";

#[test]
fn mutated_files_are_survived() {
    let files = [
        compile("c", TEXT, &["-static"]),
        compile("c", TEXT, &["-shared", "-fPIC"]),
    ];
    let start = Instant::now();
    let mut numbers = Numbers(1);
    for file in &files {
        let whole = rewrite(file).unwrap().counts;
        assert!(whole.bound >= 5, "{whole:?}");
        let tables = tables(file);
        for _ in 0..ROUNDS {
            let mut bytes = file.clone();
            for _ in 0..=numbers.below(4) {
                let at = match numbers.below(4) {
                    0 => numbers.below(64),
                    1 | 2 => tables[numbers.below(tables.len())],
                    _ => numbers.below(bytes.len()),
                };
                bytes[at] = match numbers.below(4) {
                    0 => 0xff,
                    1 => 0,
                    _ => numbers.next() as u8,
                };
            }
            if numbers.below(8) == 0 {
                bytes.truncate(numbers.below(file.len()));
            }
            if let Ok(rewritten) = rewrite(&bytes)
                && let Some(new) = rewritten.bytes
            {
                assert!(new.len() < bytes.len() + (1 << 20));
            }
            if start.elapsed() > TIME {
                return;
            }
        }
    }
}

/// Offsets of bytes in program headers, section headers and unwind tables.
fn tables(file: &[u8]) -> Vec<usize> {
    let object = super::Object::parse(file).unwrap();
    let header = &object.header;
    let phdrs = header.e_phoff as usize..header.e_phoff as usize + usize::from(header.e_phnum) * 56;
    let shdrs = header.e_shoff as usize..header.e_shoff as usize + usize::from(header.e_shnum) * 64;
    let frames = object.section(b".eh_frame").unwrap();
    let frames = frames.offset..frames.offset + frames.bytes.len();
    phdrs.chain(shdrs).chain(frames).collect()
}
