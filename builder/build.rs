//! Builds the libOS with a nested cargo, for `include_bytes!` in `src/libos.rs`.
//!
//! The libOS is another target (`x86_64-unknown-none`) with another linker
//! script, so cargo cannot build it as an ordinary dependency. It has a target
//! directory of its own below OUT_DIR: the outer cargo holds the lock of its
//! own. `UNIKILN_LIBOS=FILE` embeds a ready-made ELF file instead.
//!
//! `UNIKILN_BUILDER_SOURCES` stands for the sources of builder and file format,
//! `UNIKILN_LIBOS_HASH` for the libOS: what was made by another builder, or with
//! another libOS, is made again. Neither has to be computed when a program starts.

use std::env;
use std::error::Error;
use std::ffi::OsStr;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "x86_64-unknown-none";
/// What decides how a unikernel file is written.
const SOURCES: [&str; 5] = [
    "builder/src",
    "unikernel/src",
    "libos/abi/src",
    "Cargo.lock",
    "Cargo.toml",
];

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
    for input in SOURCES.iter().chain(&["builder/build.rs", "libos"]) {
        println!(
            "cargo::rerun-if-changed={}",
            repository.join(input).display()
        );
    }
    let mut hasher = DefaultHasher::new();
    for input in SOURCES {
        hash_files(&repository.join(input), &mut hasher)?;
    }
    println!(
        "cargo::rustc-env=UNIKILN_BUILDER_SOURCES={:016x}",
        hasher.finish()
    );
    if let Some(ready) = env::var_os("UNIKILN_LIBOS") {
        println!("cargo::rerun-if-changed={}", Path::new(&ready).display());
        fs::copy(&ready, &embedded)
            .map_err(|error| format!("cannot copy UNIKILN_LIBOS={}: {error}", ready.display()))?;
        return tell_libos(&embedded);
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
    tell_libos(&embedded)
}

fn tell_libos(embedded: &Path) -> Result<(), Box<dyn Error>> {
    let mut hasher = DefaultHasher::new();
    fs::read(embedded)?.hash(&mut hasher);
    println!(
        "cargo::rustc-env=UNIKILN_LIBOS_HASH={:016x}",
        hasher.finish()
    );
    Ok(())
}

/// Hashes a file, or all files below a directory in the order of their names.
fn hash_files(path: &Path, hasher: &mut DefaultHasher) -> Result<(), Box<dyn Error>> {
    if path.is_dir() {
        let mut entries = fs::read_dir(path)?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<Vec<_>, std::io::Error>>()?;
        entries.sort();
        for entry in entries {
            hash_files(&entry, hasher)?;
        }
        return Ok(());
    }
    path.file_name().hash(hasher);
    fs::read(path)?.hash(hasher);
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
        // What LLVM copies into its callers at this level (50) is 6 % of the libOS, and makes
        // small calls 3 % faster.
        "-Cllvm-args=-inline-threshold=10".to_owned(),
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
