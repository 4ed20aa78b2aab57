//! `unikiln images`: what is in the store.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use anyhow::{Context, Result};
use clap::Args;
use unikiln_builder::{StoredImage, Usage};
use unikiln_unikernel::printable;

use super::size;
use super::store::StoreOptions;

/// Digits of a digest that tell images apart, as docker shows them.
const SHORT_DIGITS: usize = 12;
/// Bytes of a date in RFC 3339.
const DATE_BYTES: usize = 10;

/// List stored images.
#[derive(Debug, Args)]
pub(super) struct Images {
    /// Show whole digests.
    #[arg(long)]
    digests: bool,
    /// Show digests alone, one on a line.
    #[arg(short, long, conflicts_with_all = ["json", "usage"])]
    quiet: bool,
    /// As JSON, for programs.
    #[arg(long)]
    json: bool,
    /// Show what the store takes of the disk instead of the list.
    #[arg(long)]
    usage: bool,
    #[command(flatten)]
    store: StoreOptions,
}

impl Images {
    pub(super) fn execute(self) -> Result<u8> {
        let store = self.store.open()?;
        let text = if self.usage {
            let usage = store.usage()?;
            match self.json {
                true => json(&usage)?,
                false => usage_table(&usage),
            }
        } else {
            let images = store.images()?;
            match (self.json, self.quiet) {
                (true, _) => json(&images)?,
                (false, true) => images
                    .iter()
                    .map(|image| format!("{}\n", image.digest))
                    .collect(),
                (false, false) => table(&images, self.digests),
            }
        };
        match io::stdout().lock().write_all(text.as_bytes()) {
            // `unikiln images | head` is no failure.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(error).context("cannot write to standard output")
            }
            _ => Ok(0),
        }
    }
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    let text = serde_json::to_string_pretty(value).context("cannot write JSON")?;
    Ok(text + "\n")
}

fn table(images: &[StoredImage], with_digests: bool) -> String {
    let rows = images.iter().map(|image| {
        let size = size::display(image.size_bytes);
        [
            image.reference.clone(),
            if with_digests {
                image.digest.clone()
            } else {
                short(&image.digest)
            },
            date(image.created.as_deref()),
            if image.is_complete {
                size
            } else {
                format!("{size} (incomplete)")
            },
        ]
    });
    let head = ["REFERENCE", "DIGEST", "CREATED", "SIZE"].map(str::to_owned);
    aligned([head].into_iter().chain(rows).collect())
}

fn usage_table(usage: &Usage) -> String {
    let kinds = [
        ("images", usage.blobs),
        ("unikernels", usage.unikernels),
        ("unpacked layers", usage.layers),
        ("linked programs", usage.linked),
        ("unfinished downloads", usage.partial),
        ("damaged", usage.damaged),
        ("all", usage.total()),
    ];
    let rows = kinds.map(|(kind, amount)| {
        [
            kind.to_owned(),
            amount.count.to_string(),
            size::display(amount.bytes),
        ]
    });
    let head = ["KIND", "FILES", "SIZE"].map(str::to_owned);
    aligned([head].into_iter().chain(rows).collect())
}

/// Columns as wide as their widest cell. Names and dates are the images' own.
fn aligned<const N: usize>(rows: Vec<[String; N]>) -> String {
    let rows: Vec<[String; N]> = rows
        .into_iter()
        .map(|row| row.map(|cell| printable(&cell)))
        .collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            // Writing to a String cannot fail.
            let _ = write!(line, "{cell:width$}   ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// `sha256:` and the first digits.
fn short(digest: &str) -> String {
    let (algorithm, hex) = digest.split_once(':').unwrap_or(("", digest));
    let hex: String = hex.chars().take(SHORT_DIGITS).collect();
    format!("{algorithm}:{hex}")
}

/// The day of a time that an image claims.
fn date(created: Option<&str>) -> String {
    created
        .and_then(|created| created.get(..DATE_BYTES))
        .filter(|date| {
            date.bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'-')
        })
        .unwrap_or("-")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::{date, table};
    use unikiln_builder::StoredImage;

    #[test]
    fn columns_are_aligned_and_short() {
        let image = |reference: &str, is_complete| StoredImage {
            reference: reference.to_owned(),
            digest: format!("sha256:{}", "0123456789abcdef".repeat(4)),
            manifest_digest: None,
            created: Some("2026-11-24T09:30:00Z".to_owned()),
            size_bytes: 43_201_332,
            unikernel_bytes: 0,
            is_complete,
        };
        let images = [
            image("docker.io/library/redis:7", true),
            image("a:1", false),
        ];
        assert_eq!(
            table(&images, false),
            "REFERENCE                   DIGEST                CREATED      SIZE\n\
             docker.io/library/redis:7   sha256:0123456789ab   2026-11-24   41.2 MiB\n\
             a:1                         sha256:0123456789ab   2026-11-24   41.2 MiB (incomplete)\n"
        );
        assert!(table(&images, true).contains(&images[0].digest));
        let hostile = [image("a\u{1b}[2J\n:1", true)];
        let printed = table(&hostile, false);
        assert!(!printed.contains('\u{1b}') && printed.lines().count() == 2);
    }

    #[test]
    fn a_time_that_is_none_is_not_shown() {
        for created in [None, Some(""), Some("\x1b[2J-11-24"), Some("yesterday…")] {
            assert_eq!(date(created), "-");
        }
    }
}
