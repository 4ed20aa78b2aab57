//! What a unikernel file holds, for people and for programs. Both checksums are
//! compared on the way, so a file that can be inspected is whole.

use std::fmt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use unikiln_unikernel::{ImageSource, Manifest, OpenError, UnikernelFile, printable};

/// Offset of the EROFS superblock's count of inodes.
const INODE_COUNT_OFFSET: u64 = 1024 + 16;

/// A segment of the libOS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SegmentInfo {
    /// Guest-virtual address.
    pub address: u64,
    /// Offset in the file.
    pub offset: u64,
    /// Bytes in the file.
    pub file_bytes: u64,
    /// Bytes in memory.
    pub memory_bytes: u64,
    /// `r--`, `r-x` or `rw-`.
    pub permissions: String,
}

/// See the module documentation. Prints as text, serializes as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inspection {
    /// The file.
    pub path: PathBuf,
    /// Its length, which is also the root file system's.
    pub file_bytes: u64,
    /// What to run and where it came from.
    pub manifest: Manifest,
    /// The libOS entry.
    pub entry: u64,
    /// The libOS's segments.
    pub segments: Vec<SegmentInfo>,
    /// Bytes of the libOS in the file.
    pub libos_bytes: u64,
    /// Bytes of file system behind libOS and manifest.
    pub rootfs_bytes: u64,
    /// Inodes of the root file system.
    pub inode_count: u64,
}

/// Inspects and verifies the file at `path`.
pub fn inspect(path: &Path) -> Result<Inspection, OpenError> {
    let file = UnikernelFile::open(path)?;
    file.verify_head()?;
    file.verify_tail()?;
    let mut inode_count = [0; 8];
    file.file()
        .read_exact_at(&mut inode_count, INODE_COUNT_OFFSET)
        .map_err(|source| OpenError::Read {
            path: path.to_owned(),
            source,
        })?;
    let segments: Vec<_> = file
        .segments()
        .iter()
        .map(|segment| SegmentInfo {
            address: segment.vaddr,
            offset: segment.offset,
            file_bytes: segment.filesz_bytes,
            memory_bytes: segment.memsz_bytes,
            permissions: match (segment.flags.writable, segment.flags.executable) {
                (true, _) => "rw-",
                (false, true) => "r-x",
                (false, false) => "r--",
            }
            .to_owned(),
        })
        .collect();
    Ok(Inspection {
        path: path.to_owned(),
        file_bytes: file.rootfs_bytes(),
        manifest: file.manifest().clone(),
        entry: file.entry(),
        libos_bytes: segments.iter().map(|segment| segment.file_bytes).sum(),
        segments,
        rootfs_bytes: file.rootfs_bytes() - file.notes_end(),
        inode_count: u64::from_le_bytes(inode_count),
    })
}

impl fmt::Display for Inspection {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let manifest = &self.manifest;
        let user = &manifest.user;
        writeln!(out, "file            {}", self.path.display())?;
        writeln!(out, "size            {}", size(self.file_bytes))?;
        write_image(out, &manifest.image)?;
        writeln!(out, "entrypoint      {}", words(&manifest.entrypoint))?;
        writeln!(out, "cmd             {}", words(&manifest.cmd))?;
        writeln!(out, "working dir     {}", manifest.working_dir)?;
        write!(out, "user            {}:{}", user.uid, user.gid)?;
        if !user.spec.is_empty() {
            write!(out, " ({})", printable(&user.spec))?;
        }
        writeln!(out)?;
        for variable in &manifest.env {
            writeln!(out, "env             {}", printable(variable))?;
        }
        if let Some(signal) = &manifest.stop_signal {
            writeln!(out, "stop signal     {}", printable(signal))?;
        }
        for port in &manifest.exposed_ports {
            writeln!(out, "port            {}", printable(port))?;
        }
        for volume in &manifest.volumes {
            writeln!(out, "volume          {}", printable(volume))?;
        }
        writeln!(
            out,
            "memory at least {}",
            size(manifest.minimum_memory_bytes)
        )?;
        writeln!(
            out,
            "root fs         {}, {} inodes",
            size(self.rootfs_bytes),
            self.inode_count
        )?;
        write_linking(out, manifest)?;
        if let Some(verdict) = &manifest.verdict {
            writeln!(out, "verdict         {}", printable(&verdict.summary))?;
        }
        writeln!(
            out,
            "libos           {} {}, ABI {}",
            manifest.libos.version,
            size(self.libos_bytes),
            manifest.libos.abi_version
        )?;
        writeln!(out, "  digest        {}", manifest.libos.digest)?;
        writeln!(out, "  entry         {:#x}", self.entry)?;
        for segment in &self.segments {
            writeln!(
                out,
                "  segment       {:#x} {} {} in memory, {} at {:#x} in the file",
                segment.address,
                segment.permissions,
                size(segment.memory_bytes),
                size(segment.file_bytes),
                segment.offset
            )?;
        }
        write!(out, "builder         {}", manifest.builder_version)
    }
}

/// What it was made of.
fn write_image(out: &mut fmt::Formatter<'_>, image: &ImageSource) -> fmt::Result {
    writeln!(
        out,
        "image           {}",
        or_none(&image.digest, "made on the spot")
    )?;
    if !image.config_digest.is_empty() {
        writeln!(out, "  config        {}", image.config_digest)?;
    }
    for (index, layer) in image.layers.iter().enumerate() {
        writeln!(out, "  layer         {layer}")?;
        if let Some(diff_id) = image.diff_ids.get(index).filter(|&id| id != layer) {
            writeln!(out, "    unpacked    {diff_id}")?;
        }
    }
    if image.architecture.is_empty() {
        return Ok(());
    }
    write!(
        out,
        "platform        linux/{}",
        printable(&image.architecture)
    )?;
    if let Some(variant) = &image.variant {
        write!(out, "/{}", printable(variant))?;
    }
    writeln!(out)
}

fn write_linking(out: &mut fmt::Formatter<'_>, manifest: &Manifest) -> fmt::Result {
    let Some(linking) = &manifest.linking else {
        return writeln!(out, "linked          no: every system call traps");
    };
    writeln!(
        out,
        "linked          version {}, {} of {} syscall sites in {} of {} programs and libraries",
        linking.version, linking.bound_sites, linking.sites, linking.changed_files, linking.files
    )?;
    for (reason, count) in &linking.left_sites {
        writeln!(out, "  left          {count}: {}", printable(reason))?;
    }
    for (reason, count) in &linking.left_files {
        writeln!(out, "  left          {count} files: {}", printable(reason))?;
    }
    Ok(())
}

fn words(list: &[String]) -> String {
    let quoted: Vec<_> = list.iter().map(|word| format!("{word:?}")).collect();
    or_none(&quoted.join(" "), "none").to_owned()
}

fn or_none<'a>(text: &'a str, none: &'a str) -> &'a str {
    if text.is_empty() { none } else { text }
}

fn size(bytes: u64) -> String {
    const STEP: f64 = 1024.0;
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < STEP {
            let digits = if unit == "B" { 0 } else { 1 };
            return format!("{value:.digits$} {unit}");
        }
        value /= STEP;
    }
    format!("{value:.1} TiB")
}
