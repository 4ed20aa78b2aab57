//! From an OCI image to a unikernel file, against what any runtime must do at
//! least: gunzip and untar the same layer.
//!
//! The layer holds files of this machine's /usr, so it compresses as images do.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::bench::{Bench, text};
use crate::command::tool;
use crate::measure::compare;
use crate::report::{Row, Section, Target};

/// One ratio.
pub(crate) fn measure(bench: &Bench) -> Result<Vec<Section>> {
    let mib = bench.scale(100, 8);
    let layout = text(bench.path("layout"))?;
    let layer = write_layout(bench, &layout, (mib as u64) << 20)?;
    let image = format!("oci:{layout}:bench");
    let file = text(bench.path("build.uk"))?;
    let build = [bench.unikiln(), "build", &image, "-o", &file];
    let unpacked = text(bench.path("unpacked"))?;
    let unpack = ["tar", "-xzf", &layer, "-C", &unpacked];
    let (ours, theirs) = compare(
        bench.rounds,
        &mut || {
            let finished = bench.runner.run(&build)?;
            fs::remove_file(&file).context("no unikernel file was built")?;
            Ok(finished.total_ms())
        },
        &mut || {
            fs::create_dir(&unpacked).with_context(|| format!("cannot make {unpacked}"))?;
            let finished = bench.runner.run(&unpack)?;
            fs::remove_dir_all(&unpacked).context("cannot remove what was unpacked")?;
            Ok(finished.total_ms())
        },
    )?;
    let what = format!("oci: image with a layer of {mib} MiB");
    let row = Row::cost(what, "ms", ours, "tar xzf", theirs).target(Target::AtMost(1.2));
    Ok(vec![Section::new("build", vec![row])])
}

/// Writes an OCI layout of one image with one layer; the layer's path.
fn write_layout(bench: &Bench, layout: &str, bytes: u64) -> Result<String> {
    let blobs = format!("{layout}/blobs/sha256");
    fs::create_dir_all(&blobs).with_context(|| format!("cannot make {blobs}"))?;
    let (tar, gzipped) = (
        text(bench.path("layer.tar"))?,
        text(bench.path("layer.tar.gz"))?,
    );
    write_tar(&tar, bytes)?;
    let diff_id = digest(&tar)?;
    tool(&["gzip", "-6", "-n", &tar])?;
    let (layer_digest, layer_bytes) = (digest(&gzipped)?, length(&gzipped)?);
    let layer = format!("{blobs}/{layer_digest}");
    fs::rename(&gzipped, &layer).with_context(|| format!("cannot make {layer}"))?;

    let blob = |value: &Value, media_type: &str| {
        let path = bench.path("blob.json");
        fs::write(&path, value.to_string()).context("cannot write a blob")?;
        let name = text(path)?;
        let (name_digest, bytes) = (digest(&name)?, length(&name)?);
        fs::rename(&name, format!("{blobs}/{name_digest}"))
            .context("cannot put a blob in place")?;
        Ok::<_, anyhow::Error>(descriptor(media_type, &name_digest, bytes))
    };
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": { "Cmd": ["/usr/bin/true"] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{diff_id}")] },
    });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob(&config, "application/vnd.oci.image.config.v1+json")?,
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", &layer_digest, layer_bytes)],
    });
    let mut entry = blob(&manifest, "application/vnd.oci.image.manifest.v1+json")?;
    entry["annotations"] = json!({ "org.opencontainers.image.ref.name": "bench" });
    let index = json!({ "schemaVersion": 2, "manifests": [entry] });
    fs::write(format!("{layout}/index.json"), index.to_string())
        .context("cannot write the index")?;
    fs::write(
        format!("{layout}/oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )
    .context("cannot write the layout")?;
    Ok(layer)
}

/// A tar file of /usr/bin/true and then files of /usr in the order of their
/// names, up to `bytes`.
pub(crate) fn write_tar(tar: &str, bytes: u64) -> Result<()> {
    let listing = tool(&[
        "find",
        "/usr/lib",
        "/usr/share",
        "/usr/bin",
        "-xdev",
        "-type",
        "f",
        "-printf",
        "%s %p\\n",
    ])?;
    let listing = String::from_utf8_lossy(&listing);
    let mut files: Vec<(&str, u64)> = listing
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(size, path)| Some((path, size.parse().ok()?)))
        .collect();
    files.sort_unstable();
    let mut names = String::from("/usr/bin/true\n");
    let mut total = 0;
    for (path, size) in files {
        // One giant would be the whole layer.
        if size <= bytes / 8 && total + size <= bytes {
            total += size;
            names.push_str(path);
            names.push('\n');
        }
    }
    ensure!(
        total > bytes / 2,
        "/usr holds too few files for a layer of {bytes} bytes"
    );
    let mut child = Command::new("tar")
        .args([
            "-cf",
            tar,
            "--no-recursion",
            "--ignore-failed-read",
            "-P",
            "--transform=s,^/,,",
            "--files-from=-",
        ])
        .stdin(Stdio::piped())
        .spawn()
        .context("cannot start tar")?;
    let mut stdin = child.stdin.take().context("standard input is piped")?;
    stdin
        .write_all(names.as_bytes())
        .context("cannot write to tar")?;
    drop(stdin);
    let status = child.wait().context("cannot wait for tar")?;
    ensure!(status.success(), "tar ended with {status}");
    Ok(())
}

fn descriptor(media_type: &str, digest: &str, bytes: u64) -> Value {
    json!({ "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": bytes })
}

fn digest(path: &str) -> Result<String> {
    let said = tool(&["sha256sum", path])?;
    let said = String::from_utf8_lossy(&said);
    said.split_whitespace()
        .next()
        .map(str::to_owned)
        .context("sha256sum prints a digest")
}

fn length(path: &str) -> Result<u64> {
    Ok(fs::metadata(Path::new(path))
        .with_context(|| format!("cannot look at {path}"))?
        .len())
}
