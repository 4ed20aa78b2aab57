//! Builds the libOS with a nested cargo, for `include_bytes!` in `src/libos.rs`.
//!
//! The libOS is another target (`x86_64-unknown-none`) with another linker
//! script, so cargo cannot build it as an ordinary dependency. It has a target
//! directory of its own below OUT_DIR: the outer cargo holds the lock of its
//! own. `UNIKILN_LIBOS=FILE` embeds a ready-made ELF file instead.

use std::env;
use std::error::Error;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "x86_64-unknown-none";

fn main() {
    if let Err(error) = build() {
        // Cargo prefixes the first line only, and shows standard error in full.
        eprintln!("cannot build the libOS: {error}");
        std::process::exit(1);
    }
}

fn build() -> Result<(), Box<dyn Error>> {
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    let repository = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?)
        .parent()
        .ok_or("the builder has no parent directory")?
        .to_owned();
    let embedded = out_dir.join("unikiln-libos.elf");

    println!("cargo::rerun-if-env-changed=UNIKILN_LIBOS");
    for input in ["builder/build.rs", "libos", "Cargo.lock", "Cargo.toml"] {
        println!(
            "cargo::rerun-if-changed={}",
            repository.join(input).display()
        );
    }
    if let Some(ready) = env::var_os("UNIKILN_LIBOS") {
        println!("cargo::rerun-if-changed={}", Path::new(&ready).display());
        fs::copy(&ready, &embedded)
            .map_err(|error| format!("cannot copy UNIKILN_LIBOS={}: {error}", ready.display()))?;
        return Ok(());
    }

    let target_dir = out_dir.join("libos-target");
    let output = nested_cargo(&repository, &target_dir)?.output()?;
    if !output.status.success() {
        let messages = String::from_utf8_lossy(&output.stderr);
        // rustc says E0463 of `core` when the target's standard library is missing.
        if messages.contains("can't find crate for `core`")
            || messages.contains("may not be installed")
        {
            return Err(format!(
                "the Rust target {TARGET} is not installed; run `rustup target add {TARGET}`"
            )
            .into());
        }
        return Err(format!("cargo ended with {}\n{messages}", output.status).into());
    }
    fs::copy(
        target_dir.join(TARGET).join("libos/unikiln-libos"),
        &embedded,
    )?;
    Ok(())
}

/// The nested command, free of what the outer cargo, clippy or a coverage tool
/// set for the host target.
fn nested_cargo(repository: &Path, target_dir: &Path) -> Result<Command, Box<dyn Error>> {
    let script = repository.join("libos/libos.ld");
    let flags = [
        // Addresses relative to RIP work anywhere, though the target's code model
        // (`kernel`, which LTO with its `core` must keep) is meant for the top 2 GiB.
        "-Crelocation-model=pic".to_owned(),
        // Crash records walk frame pointers.
        "-Cforce-frame-pointers=yes".to_owned(),
        format!("-Clink-arg=-T{}", script.display()),
        "-Clink-arg=--no-pie".to_owned(),
        "-Clink-arg=-znostart-stop-gc".to_owned(),
        "-Clink-arg=--build-id=none".to_owned(),
        // The file must not tell where it was built.
        format!("--remap-path-prefix={}=.", repository.display()),
    ];
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os() {
        if disturbs(&name) {
            command.env_remove(&name);
        }
    }
    command
        .current_dir(repository)
        .args([
            "build",
            "--quiet",
            "--package",
            "unikiln-libos",
            "--bin",
            "unikiln-libos",
        ])
        .args(["--target", TARGET, "--profile", "libos", "--target-dir"])
        .arg(target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    if env::var("CARGO_NET_OFFLINE").is_ok_and(|value| value == "true") {
        command.arg("--offline");
    }
    Ok(command)
}

fn disturbs(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else {
        return false;
    };
    let kept = [
        "CARGO",
        "CARGO_HOME",
        "CARGO_NET_OFFLINE",
        "CARGO_MAKEFLAGS",
    ];
    let prefixes = [
        "CARGO_",
        "RUSTC",
        "RUSTFLAGS",
        "RUSTDOC",
        "CLIPPY_",
        "DEP_",
        "LLVM_PROFILE",
    ];
    !kept.contains(&name) && prefixes.iter().any(|prefix| name.starts_with(prefix))
}
