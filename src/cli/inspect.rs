//! `unikiln inspect FILE.uk`: what is in a unikernel file.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use unikiln_unikernel::{Manifest, UnikernelFile};

/// Show what a unikernel file holds.
#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// The unikernel file.
    file: PathBuf,
    /// As JSON, for programs.
    #[arg(long)]
    json: bool,
    /// Read all of it and compare its checksums too.
    #[arg(long)]
    verify: bool,
}

impl Inspect {
    pub(super) fn execute(self) -> Result<u8> {
        let file = UnikernelFile::open(&self.file)?;
        if self.verify {
            file.verify_head()?;
            file.verify_tail()?;
        }
        let text = if self.json {
            to_json(&file)?
        } else {
            to_text(&file)
        };
        match io::stdout().lock().write_all(text.as_bytes()) {
            // `unikiln inspect … | head` is no failure.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(error).context("cannot write to standard output")
            }
            _ => Ok(0),
        }
    }
}

fn to_json(file: &UnikernelFile) -> Result<String> {
    let segments: Vec<_> = file
        .segments()
        .iter()
        .map(|segment| {
            json!({
                "address": segment.vaddr,
                "offset": segment.offset,
                "fileBytes": segment.filesz_bytes,
                "memoryBytes": segment.memsz_bytes,
                "flags": format!("{:?}", segment.flags),
            })
        })
        .collect();
    let value = json!({
        "path": file.path(),
        "fileBytes": file.rootfs_bytes(),
        "entry": file.entry(),
        "segments": segments,
        "manifest": file.manifest(),
    });
    let mut text = serde_json::to_string_pretty(&value).context("cannot write JSON")?;
    text.push('\n');
    Ok(text)
}

fn to_text(file: &UnikernelFile) -> String {
    let Manifest {
        entrypoint,
        cmd,
        env,
        working_dir,
        user,
        stop_signal,
        exposed_ports,
        volumes,
        image,
        libos,
        builder_version,
        minimum_memory_bytes,
    } = file.manifest();
    let libos_bytes: u64 = file
        .segments()
        .iter()
        .map(|segment| segment.filesz_bytes)
        .sum();
    let user_text = match user.spec.as_str() {
        "" => format!("{}:{}", user.uid, user.gid),
        spec => format!("{spec} ({}:{})", user.uid, user.gid),
    };
    let mut rows = vec![
        ("file", file.path().display().to_string()),
        (
            "size",
            format!("{} bytes, {libos_bytes} of them libOS", file.rootfs_bytes()),
        ),
        ("entrypoint", quoted(entrypoint)),
        ("cmd", quoted(cmd)),
        ("working dir", working_dir.clone()),
        ("user", user_text),
        (
            "memory",
            format!("at least {} KiB", minimum_memory_bytes >> 10),
        ),
        ("image", image.digest.clone()),
        ("architecture", image.architecture.clone()),
    ];
    rows.extend(image.layers.iter().map(|layer| ("layer", layer.clone())));
    rows.extend(env.iter().map(|assignment| ("env", assignment.clone())));
    rows.extend(exposed_ports.iter().map(|port| ("port", port.clone())));
    rows.extend(volumes.iter().map(|volume| ("volume", volume.clone())));
    rows.extend(
        stop_signal
            .iter()
            .map(|signal| ("stop signal", signal.clone())),
    );
    rows.push((
        "libOS",
        format!(
            "{}, ABI {}, {}",
            libos.version, libos.abi_version, libos.digest
        ),
    ));
    rows.push(("builder", builder_version.clone()));
    rows.iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name:<13} {value}\n"))
        .collect()
}

/// Words as a shell would read them.
fn quoted(words: &[String]) -> String {
    let quote = |word: &String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
        match word.as_str() {
            word if !word.is_empty() && word.chars().all(plain) => word.to_owned(),
            word => format!("'{}'", word.replace('\'', r"'\''")),
        }
    };
    words.iter().map(quote).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_can_be_pasted_into_a_shell() {
        let words = ["/bin/sh", "-c", "echo it's", ""].map(str::to_owned);
        assert_eq!(quoted(&words), r"/bin/sh -c 'echo it'\''s' ''");
    }
}
