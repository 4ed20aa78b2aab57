//! What whole-system tests share.

#[path = "../../../tests/common/skip.rs"]
#[expect(dead_code, reason = "other tests need more of a machine")]
pub mod skip;

pub mod image {
    //! Tools that make images.

    use std::process::Command;

    /// A tool that must succeed.
    pub fn tool(program: &str, args: &[&str]) {
        let output = Command::new(program).args(args).output();
        let output = output.unwrap_or_else(|error| panic!("cannot start {program}: {error}"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {args:?}: {said}");
    }
}

use std::path::{Path, PathBuf};

/// Where tests keep what they make; survives between runs.
pub fn cache_dir(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&directory).expect("a directory");
    directory
}
