//! References to images, and platforms.

use crate::{Random, Target};

/// The target.
pub const TARGET: Target = Target {
    name: "reference",
    max_bytes: 512,
    run,
    mend,
    seeds,
};

const WORDS: [&str; 16] = [
    "oci:",
    "oci-archive:",
    "docker-archive:",
    "host:",
    "docker://",
    "localhost:5000/",
    "docker.io/library/",
    ":latest",
    "@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ":",
    "@",
    "/",
    "linux/amd64",
    "/v3",
    "../",
    "[::1]:5000/",
];

fn run(input: &[u8]) {
    unikiln_builder::fuzz::reference(&String::from_utf8_lossy(input));
}

/// Puts a word of the grammar somewhere.
fn mend(input: &mut Vec<u8>, random: &mut Random) {
    if random.chance(40) {
        let at = random.below(input.len() + 1);
        input.splice(at..at, random.one(&WORDS).bytes());
    }
}

fn seeds() -> Vec<Vec<u8>> {
    [
        "oci:/images/a:latest",
        "oci-archive:a.tar",
        "docker-archive:a.tar:library/a:v1",
        "host:/bin/ls",
        "debian",
        "library/debian:12-slim",
        "localhost:5000/team/app:1.2",
        "ghcr.io/a/b@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "linux/amd64",
        "linux/amd64/v3",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}
