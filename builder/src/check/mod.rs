//! A verdict on an image before it has ever been booted: what it needs, and
//! whether it will run. `builder/CHECK.md` says what can be known and what not.
//!
//! ```text
//! tree, configuration ─► program.rs, loaded.rs: file, script, ELF file, its libraries
//!                          ├─ header.rs: what the libOS would say of an ELF file
//!                          ├─ script.rs, shell.rs: what a shell does and becomes
//!                          ├─ elf.rs, versions.rs: what the dynamic linker would say
//!                          └─ elf.rs, go.rs ─► reach.rs, sweep.rs: what its code does
//!                                                └─ calls.rs: what the libOS has of it
//! ```
//!
//! Images are untrusted: nothing here fails on what is in them, and what cannot
//! be read is not there.

mod calls;
mod devices;
mod elf;
mod go;
mod header;
mod loaded;
mod machine;
mod program;
mod reach;
mod script;
mod shell;
mod sweep;
mod versions;

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use unikiln_unikernel::{Finding, Manifest, Needs, OpenError, Severity, UnikernelFile, Verdict};

use crate::build::{self, BuildError, BuildOptions};
use crate::hot::minimum_memory_bytes;
use crate::oci::ImageError;
use crate::progress::Progress;
use crate::reference::ImageRef;
use crate::rootfs::RootFs;
use crate::rootfs::tree::Kind;
use program::Examiner;

/// Memory of a guest where nothing else is said.
const MEMORY_DEFAULT_BYTES: u64 = 256 << 20;

/// Kinds of findings, as `builder/CHECK.md` explains them.
pub(crate) const CODES: [&str; 22] = [
    "bad-elf",
    "bad-working-dir",
    "code-not-followed",
    "device",
    "executable-stack",
    "fork",
    "fork-possible",
    "isa-level",
    "memory",
    "missing-call",
    "missing-interpreter",
    "missing-library",
    "missing-version",
    "no-program",
    "not-executable",
    "not-found",
    "set-id",
    "shell",
    "stop-signal",
    "text-relocations",
    "unknown-user",
    "wrong-architecture",
];

/// What to check beside the image.
#[derive(Clone, Debug, Default)]
pub struct CheckOptions {
    /// As for a build.
    pub build: BuildOptions,
    /// Instead of the image's entrypoint; drops its command.
    pub entrypoint: Option<String>,
    /// Instead of the image's command, where there are any.
    pub args: Vec<String>,
}

/// What keeps an image from being checked.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The image cannot be read.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// No place for temporary files.
    #[error("cannot make a temporary directory; point TMPDIR at a writable one")]
    Spool(#[source] io::Error),
    /// The unikernel file cannot be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A unikernel file of an older builder.
    #[error("{} has no verdict; build it again with `unikiln build`", path.display())]
    NoVerdict {
        /// The file.
        path: PathBuf,
    },
}

/// Checks an image for this machine.
pub fn check(
    reference: &ImageRef,
    options: &CheckOptions,
    progress: &mut dyn Progress,
) -> Result<Verdict, CheckError> {
    let spool = tempfile::Builder::new()
        .prefix("unikiln-")
        .tempdir()
        .map_err(CheckError::Spool)?;
    let prepared = build::prepare(reference, spool.path(), &options.build, progress);
    let (rootfs, mut manifest) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return refusal(&error).ok_or(CheckError::Build(error)),
    };
    if let Some(entrypoint) = &options.entrypoint {
        let entrypoint = Some(entrypoint.clone()).filter(|entrypoint| !entrypoint.is_empty());
        manifest.entrypoint = entrypoint.into_iter().collect();
        manifest.cmd.clear();
    }
    if !options.args.is_empty() {
        manifest.cmd.clone_from(&options.args);
    }
    Ok(machine::compare(examine(&rootfs, &manifest)))
}

/// The verdict that a unikernel file holds, for this machine.
pub fn check_file(path: &Path) -> Result<Verdict, CheckError> {
    let file = UnikernelFile::open(path)?;
    file.verify_head()?;
    let verdict = file.manifest().verdict.clone();
    let verdict = verdict.ok_or_else(|| CheckError::NoVerdict {
        path: path.to_owned(),
    })?;
    Ok(machine::compare(verdict))
}

/// The verdict on an image that cannot become a unikernel at all; none where the error is no
/// matter of the image.
pub fn refusal(error: &BuildError) -> Option<Verdict> {
    let (code, what, advice) = match error {
        BuildError::Image {
            source: ImageError::WrongPlatform { found, wanted, .. },
            ..
        } => (
            "wrong-architecture",
            format!("the image is for {found}, not for {wanted}"),
            "get it for linux/amd64",
        ),
        BuildError::User { source, .. } => (
            "unknown-user",
            source.to_string(),
            "add the user to the image, or name it by its number",
        ),
        _ => return None,
    };
    let finding = finding(Severity::Error, code, what, advice);
    Some(Verdict::new(vec![finding], Needs::default(), None))
}

/// Looks at an image whose files are as they came: not linked yet.
pub(crate) fn examine(rootfs: &RootFs, manifest: &Manifest) -> Verdict {
    let mut examiner = Examiner::new(rootfs, manifest);
    examiner.needs = Needs {
        architecture: manifest.image.architecture.clone(),
        command: [manifest.entrypoint.as_slice(), &manifest.cmd].concat(),
        user: format!("{}:{}", manifest.user.uid, manifest.user.gid),
        working_dir: manifest.working_dir.clone(),
        stop_signal: manifest.stop_signal.clone().unwrap_or_default(),
        ports: manifest.exposed_ports.clone(),
        volumes: manifest.volumes.clone(),
        ..Needs::default()
    };
    let working_dir = rootfs.tree.resolve(manifest.working_dir.as_bytes());
    if let Ok(Some(id)) = working_dir
        && !matches!(rootfs.tree.inode(id).kind, Kind::Directory(_))
    {
        let what = format!(
            "the working directory {} is no directory",
            manifest.working_dir
        );
        examiner.error("bad-working-dir", what, "give another with --workdir", 126);
    }
    examiner.command();
    let bytes = minimum_memory_bytes(examiner.writable_bytes);
    examiner.needs.minimum_memory_bytes = bytes;
    if bytes > MEMORY_DEFAULT_BYTES {
        let mebibytes = bytes >> 20;
        let what = format!(
            "it needs {mebibytes} MiB of memory to start, more than the 256 MiB of a guest by default"
        );
        let advice = format!("give it more, with --memory {mebibytes}M at least");
        examiner.warn("memory", what, &advice);
    }
    if let Some(signal) = &manifest.stop_signal
        && !is_signal(signal)
    {
        let what = format!("the stop signal {signal:?} is no signal");
        examiner.note("stop-signal", what, "SIGTERM stops it");
    }
    examiner.verdict()
}

/// Whether a name or a number is a signal's, as images write them.
fn is_signal(text: &str) -> bool {
    const NAMES: [&str; 33] = [
        "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT",
        "KILL", "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM",
        "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU",
    ];
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let number = text
        .parse()
        .is_ok_and(|number: u8| (1..=64).contains(&number));
    number || name.starts_with("RTM") || name == "XFSZ" || NAMES.contains(&name)
}

fn finding(severity: Severity, code: &'static str, what: String, advice: &str) -> Finding {
    debug_assert!(CODES.contains(&code), "{code}");
    Finding {
        severity,
        code: code.to_owned(),
        what,
        advice: advice.to_owned(),
    }
}
