//! Command line of the builder.

use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::{Parser, Subcommand};
use serde::Serialize;
use unikiln_builder::{BuildOptions, CheckOptions, ImageRef, Limits, PackOptions};
use unikiln_unikernel::Answer;

mod bar;

use bar::Bar;

/// Exit code of a failure of this program itself, as in docker and podman.
const EXIT_OWN_FAILURE: u8 = 125;
/// Exit code of `check` where an image may not run.
const EXIT_MAY_NOT: u8 = 1;
/// Exit code of `check` where an image cannot run.
const EXIT_CANNOT: u8 = 2;

/// Turns OCI images into unikernel files.
#[derive(Debug, Parser)]
#[command(name = "unikiln-builder", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build a unikernel file of an image.
    Build {
        /// oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:TAG] or host:PROGRAM.
        image: ImageRef,
        /// The file to write.
        #[arg(short, long)]
        output: PathBuf,
        /// A file or directory of this machine to take along (host: images only).
        #[arg(long, value_name = "PATH")]
        include: Vec<PathBuf>,
        /// The most that layers may unpack to, such as 512M or 16G.
        #[arg(long, value_name = "SIZE", value_parser = parse_size)]
        max_unpacked: Option<u64>,
        /// Leave the programs' system calls as they are: each one traps.
        #[arg(long)]
        no_link: bool,
    },
    /// Say what an image needs, and whether it will run.
    ///
    /// Nothing of the image is executed.
    #[command(
        after_help = "Exit codes: 0 it runs, 1 it may not run, 2 it cannot run, 125 the builder failed."
    )]
    Check {
        /// oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:TAG], host:PROGRAM or a .uk file.
        image: String,
        /// A file or directory of this machine to take along (host: images only).
        #[arg(long, value_name = "PATH")]
        include: Vec<PathBuf>,
        /// The most that layers may unpack to, such as 512M or 16G.
        #[arg(long, value_name = "SIZE", value_parser = parse_size)]
        max_unpacked: Option<u64>,
        /// Check this program instead of the image's entrypoint and command.
        #[arg(long, value_name = "PROGRAM")]
        entrypoint: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// The program's arguments, instead of the image's command.
        #[arg(
            value_name = "ARG",
            trailing_var_arg = true,
            allow_hyphen_values = true
        )]
        args: Vec<String>,
    },
    /// Show what a unikernel file holds, and verify it.
    Inspect {
        /// The file.
        file: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write programs of this machine, and the files that they need, as an OCI image.
    Pack {
        /// Programs and directories; the first program is the entrypoint.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// Where to write: oci:DIR[:TAG].
        #[arg(short, long)]
        output: ImageRef,
        /// A file or directory of this machine to take along.
        #[arg(long, value_name = "PATH")]
        include: Vec<PathBuf>,
    },
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no failures. A closed standard error is nobody's loss.
            let _ = error.print();
            return if error.use_stderr() {
                EXIT_OWN_FAILURE.into()
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match run(arguments.command) {
        Ok(code) => code.into(),
        Err(error) => {
            eprintln!("unikiln-builder: {error:#}");
            EXIT_OWN_FAILURE.into()
        }
    }
}

fn run(command: Command) -> anyhow::Result<u8> {
    match command {
        Command::Build {
            image,
            output,
            include,
            max_unpacked,
            no_link,
        } => {
            let mut limits = Limits::default();
            limits.unpacked_bytes = max_unpacked.unwrap_or(limits.unpacked_bytes);
            let options = BuildOptions {
                include,
                limits,
                no_link,
            };
            unikiln_builder::build(&image, &output, &options, &mut Bar::new())?;
            Ok(0)
        }
        Command::Check {
            image,
            include,
            max_unpacked,
            entrypoint,
            json,
            args,
        } => {
            let mut build = BuildOptions {
                include,
                ..BuildOptions::default()
            };
            build.limits.unpacked_bytes = max_unpacked.unwrap_or(build.limits.unpacked_bytes);
            let options = CheckOptions {
                build,
                entrypoint,
                args,
            };
            let verdict = match ImageRef::parse(&image) {
                Ok(image) => unikiln_builder::check(&image, &options, &mut Bar::new())?,
                // A name without a transport is a file's.
                Err(_) if Path::new(&image).is_file() => {
                    ensure!(
                        options.entrypoint.is_none() && options.args.is_empty(),
                        "a unikernel file holds the verdict on its own command: {image} takes neither \
                         arguments nor --entrypoint"
                    );
                    unikiln_builder::check_file(Path::new(&image))?
                }
                Err(error) => return Err(error.into()),
            };
            print(&verdict, json)?;
            Ok(match verdict.answer {
                Answer::Runs => 0,
                Answer::MayNot => EXIT_MAY_NOT,
                Answer::Cannot => EXIT_CANNOT,
            })
        }
        Command::Inspect { file, json } => {
            let inspection = unikiln_builder::inspect(&file)?;
            print(&inspection, json)?;
            Ok(0)
        }
        Command::Pack {
            paths,
            output,
            include,
        } => {
            let report = unikiln_builder::pack(&paths, &output, &PackOptions { include })?;
            writeln!(std::io::stdout(), "{}", report.manifest_digest)
                .context("cannot write to standard output")?;
            Ok(0)
        }
    }
}

/// Prints as text or as JSON.
fn print<T: Display + Serialize>(what: &T, json: bool) -> anyhow::Result<()> {
    let text = if json {
        serde_json::to_string_pretty(what)?
    } else {
        what.to_string()
    };
    writeln!(std::io::stdout(), "{text}").context("cannot write to standard output")
}

/// A number of bytes with an optional binary unit.
fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|char: char| char.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        unit => return Err(format!("unknown unit {unit:?}; use K, M, G or T")),
    };
    let number: u64 = digits.parse().map_err(|error| format!("{error}"))?;
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| "too large".to_owned())
}
