//! Broken files: any bytes are looked at without a panic, in little time.

use std::sync::OnceLock;

use proptest::prelude::{ProptestConfig, any, prop};
use proptest::proptest;

use super::super::elf::Mapped;
use super::super::header::{self, Refusal};
use super::super::reach::{File, reach};
use super::super::{devices, go};
use super::compiled::compile;

fn program() -> &'static [u8] {
    static PROGRAM: OnceLock<Vec<u8>> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let text = "#include <unistd.h>\n#include <stdio.h>\n#include <pthread.h>
            int main(int argc, char **argv) { puts(argv[0]); if (argc > 1) fork(); return 0; }";
        compile(text, &[])
    })
}

fn check(bytes: &[u8]) -> Result<bool, Refusal> {
    header::check(bytes, bytes.len() as u64)
}

/// Everything that looks at a file's bytes.
fn look(bytes: &[u8]) {
    let _ = check(bytes);
    devices::named(bytes);
    if let Some(mapped) = Mapped::parse(bytes) {
        mapped.needed_versions();
        mapped.defined_versions();
        mapped.isa_level();
        go::functions(&mapped);
        reach(&[File::new("/p".to_owned(), mapped)]);
    }
}

#[test]
fn refusals_name_the_cause() {
    let good = program();
    assert_eq!(check(good), Ok(true));
    let changed = |at: usize, byte: u8| {
        let mut bytes = good.to_vec();
        bytes[at] = byte;
        check(&bytes)
    };
    assert_eq!(check(b""), Err(Refusal::Empty));
    assert_eq!(check(b"hello"), Err(Refusal::NotElf));
    assert!(matches!(check(&good[..20]), Err(Refusal::Bad(_))));
    assert_eq!(
        changed(18, 183),
        Err(Refusal::Machine("ARM (arm64)".into()))
    );
    assert!(matches!(changed(4, 1), Err(Refusal::Machine(_))));
    assert!(matches!(changed(16, 1), Err(Refusal::Bad(_))));
    assert!(matches!(changed(56, 0), Err(Refusal::Bad(_))));
    assert!(matches!(check(&good[..100]), Err(Refusal::Bad(_))));
    assert_eq!(check(&good[..good.len() / 8]), Ok(false));
}

#[test]
fn cut_files_are_looked_at() {
    let good = program();
    for len in (0..good.len()).step_by(97).chain(0..200) {
        look(&good[..len]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Damage in the headers and tables, where offsets are.
    #[test]
    fn damaged_files_are_looked_at(changes in prop::collection::vec((0usize..4096, any::<u8>()), 1..24)) {
        let mut bytes = program().to_vec();
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        look(&bytes);
    }

    /// Damage anywhere, in words of all sizes.
    #[test]
    fn damaged_words_are_looked_at(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u64>(), 1usize..9), 1..16)) {
        let mut bytes = program().to_vec();
        for (at, word, len) in changes {
            let at = at.index(bytes.len() - 8);
            bytes[at..at + len].copy_from_slice(&word.to_le_bytes()[..len]);
        }
        look(&bytes);
    }
}
