//! `unikiln check IMAGE [ARG…]`: whether it will run, before it is ever booted.
//! What it says is the builder's verdict, the one that a unikernel file holds.

use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use clap::Args;
use unikiln_builder::{CheckOptions, ImageRef};
use unikiln_unikernel::{Answer, Verdict};

use super::build::SourceOptions;
use super::registry::{PullOptions, Pulled};
use super::run::is_unikernel_file;
use crate::progress::Bar;

/// Exit code where it may not run.
const MAY_NOT: u8 = 1;
/// Exit code where it cannot run.
const CANNOT: u8 = 2;

/// Say what an image needs, and whether it will run.
///
/// Nothing of the image is executed. What a program does when it is told to (by its arguments, a
/// client, a script of its own language) is not known; what it does of its own accord is, as far as
/// its code calls functions directly.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 it runs, 1 it may not run, 2 it cannot run, 125 unikiln failed."
)]
pub(super) struct Check {
    /// As JSON, for programs.
    #[arg(long)]
    json: bool,
    /// Check this program instead of the image's entrypoint and command.
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<String>,
    #[command(flatten)]
    source: SourceOptions,
    #[command(flatten)]
    pull: PullOptions,
    /// [REGISTRY/]NAME[:TAG][@DIGEST], oci:DIR[:TAG], oci-archive:FILE[:TAG],
    /// docker-archive:FILE[:TAG], host:PROGRAM or a .uk file; then the program's arguments,
    /// instead of the image's command.
    #[arg(value_names = ["IMAGE", "ARG"], required = true, num_args = 1.., trailing_var_arg = true)]
    command: Vec<String>,
}

impl Check {
    pub(super) fn execute(mut self) -> Result<u8> {
        let args = self.command.split_off(1);
        let image = self.command.remove(0);
        let verdict = self.verdict(&image, args)?;
        let text = if self.json {
            serde_json::to_string_pretty(&verdict).context("cannot write JSON")?
        } else {
            verdict.to_string()
        };
        match writeln!(io::stdout().lock(), "{text}") {
            // `unikiln check … | head` is no failure.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                return Err(error).context("cannot write to standard output");
            }
            _ => {}
        }
        Ok(match verdict.answer {
            Answer::Runs => 0,
            Answer::MayNot => MAY_NOT,
            Answer::Cannot => CANNOT,
        })
    }

    fn verdict(&self, image: &str, args: Vec<String>) -> Result<Verdict> {
        if is_unikernel_file(image) {
            ensure!(
                self.source.is_empty() && self.pull.is_empty(),
                "--include, --max-unpacked, --platform, --no-link, --root and options for registries are for \
                 images; {image} is taken as a unikernel file"
            );
            return self.held(Path::new(image), &args);
        }
        let build = self.source.to_build_options();
        let (image, _lease) = match ImageRef::parse(image)? {
            ImageRef::Registry(reference) => {
                match self.pull.to_local(&reference, build.platform)? {
                    Pulled::Image(image, lease) => (image, Some(lease)),
                    Pulled::Unikernel(path) => return self.held(&path, &args),
                }
            }
            image => (image, None),
        };
        let options = CheckOptions {
            build,
            entrypoint: self.entrypoint.clone(),
            args,
        };
        Ok(unikiln_builder::check(&image, &options, &mut Bar::new())?)
    }

    /// The verdict that a unikernel file holds.
    fn held(&self, file: &Path, args: &[String]) -> Result<Verdict> {
        ensure!(
            self.entrypoint.is_none() && args.is_empty(),
            "a unikernel file holds the verdict on its own command: {} takes neither arguments nor --entrypoint",
            file.display()
        );
        Ok(unikiln_builder::check_file(file)?)
    }
}
