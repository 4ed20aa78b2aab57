//! Tar files with an image in them.

use std::fs;

use super::{documents, layer, with_file};
use crate::{Random, Target, mutate};

/// The target.
pub const TARGET: Target = Target {
    name: "archive",
    max_bytes: 64 << 10,
    run,
    mend,
    seeds,
};

fn run(input: &[u8]) {
    with_file(input, |path| unikiln_builder::fuzz::archive(&path));
}

fn mend(input: &mut Vec<u8>, random: &mut Random) {
    if random.chance(20) {
        mutate::bytes(input, TARGET.max_bytes, random);
    }
    layer::mend(input, random);
}

/// A docker archive, and what a layout of a real image's documents is as one.
fn seeds() -> Vec<Vec<u8>> {
    let layout = tempfile::tempdir().expect("directory");
    let documents = (documents::TARGET.seeds)();
    let mut seeds = layer::seeds();
    for name in ["manifest.json", "index.json"] {
        let mut tar = tar::Builder::new(Vec::new());
        for (number, document) in documents.iter().enumerate() {
            let path = layout.path().join("document");
            fs::write(&path, document).expect("write");
            let member = if number == 2 || name == "index.json" && number == 0 {
                name.to_owned()
            } else {
                format!("blobs/sha256/{number}")
            };
            tar.append_path_with_name(&path, member).expect("append");
        }
        seeds.push(tar.into_inner().expect("finish"));
    }
    seeds
}
