//! Command line of the builder.

use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::{Parser, Subcommand};
use serde::Serialize;
use unikiln_builder::{BuildOptions, CheckOptions, ImageRef, Limits, PackOptions, Platform};
use unikiln_unikernel::Answer;

mod bar;
mod help;

use bar::Bar;

/// Exit code of a failure of this program itself, as in docker and podman.
const EXIT_OWN_FAILURE: u8 = 125;
/// Exit code of `check` where an image may not run.
const EXIT_MAY_NOT: u8 = 1;
/// Exit code of `check` where an image cannot run.
const EXIT_CANNOT: u8 = 2;

/// Turns OCI images into unikernel files
///
/// A unikernel file is one file that a virtual machine boots: the image's root file
/// system, its configuration, and a library OS that serves the program's system
/// calls. The programs of the image run unmodified; their system calls are bound to
/// the library OS as the file is made.
#[derive(Debug, Parser)]
#[command(name = "unikiln-builder", version, verbatim_doc_comment, after_long_help = help::PROGRAM)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build a unikernel file of an image
    ///
    /// Reads IMAGE, merges its layers, binds the system calls of its programs to
    /// the library OS, and writes FILE.
    #[command(verbatim_doc_comment, after_long_help = help::BUILD)]
    Build {
        /// oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME:TAG], host:PROGRAM
        image: ImageRef,
        /// The unikernel file to write
        ///
        /// It appears when it is complete, and then replaces a file of the name.
        #[arg(short, long, value_name = "FILE", verbatim_doc_comment)]
        output: PathBuf,
        /// Which of the images in an index to take, if it has several
        ///
        /// linux/amd64 (the default) or linux/amd64/VARIANT: v2, v3 and v4 are levels of
        /// x86-64 that the machine which runs it must have. Of the images in an index
        /// the one of the highest level up to this one is taken. This machine's own
        /// level does not count.
        #[arg(
            long,
            value_name = "PLATFORM",
            verbatim_doc_comment,
            default_value_t,
            hide_default_value = true
        )]
        platform: Platform,
        /// A file or directory of this machine to take along; may be repeated
        ///
        /// For host: images only. Programs among the files bring their libraries.
        #[arg(long, value_name = "PATH", verbatim_doc_comment)]
        include: Vec<PathBuf>,
        /// The most that layers may unpack to, such as 512M or 64G [default: 16G]
        ///
        /// Guards against layers that are made to fill the disk. Units are powers of
        /// 1024: K, M, G, T.
        #[arg(long, value_name = "SIZE", value_parser = parse_size, verbatim_doc_comment)]
        max_unpacked: Option<u64>,
        /// Leave the programs' system calls as they are: each one traps
        ///
        /// A trap works as well, but slower. The programs in the file are then byte
        /// for byte those of the image.
        #[arg(long, verbatim_doc_comment)]
        no_link: bool,
    },
    /// Say what an image needs, and whether it will run
    ///
    /// Reads the image as a build does; nothing of it is executed.
    #[command(
        verbatim_doc_comment,
        after_help = "Exit codes: 0 it runs, 1 it may not run, 2 it cannot run, 125 the builder failed."
    )]
    Check {
        /// oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME:TAG], host:PROGRAM, or a .uk file
        image: String,
        /// A file or directory of this machine to take along (host: images only)
        #[arg(long, value_name = "PATH")]
        include: Vec<PathBuf>,
        /// The most that layers may unpack to, such as 512M or 16G
        #[arg(long, value_name = "SIZE", value_parser = parse_size)]
        max_unpacked: Option<u64>,
        /// Check this program instead of the image's entrypoint and command
        #[arg(long, value_name = "PROGRAM")]
        entrypoint: Option<String>,
        /// Print JSON
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
    /// Show what a unikernel file holds, and verify it
    ///
    /// Prints what the file runs, what it was made of and of which version, how many
    /// system calls are bound, and its parts.
    #[command(verbatim_doc_comment, after_long_help = help::INSPECT)]
    Inspect {
        /// The unikernel file
        file: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Write programs of this machine, and the files that they need, as an OCI image
    ///
    /// Takes the programs, the libraries and interpreters that they need to start,
    /// and what else is named, and writes an OCI image layout.
    #[command(verbatim_doc_comment, after_long_help = help::PACK)]
    Pack {
        /// Programs and directories; the first program is the entrypoint
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// Where to write: oci:DIR[:TAG]
        #[arg(short, long, value_name = "IMAGE")]
        output: ImageRef,
        /// A file or directory of this machine to take along; may be repeated
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
            platform,
            include,
            max_unpacked,
            no_link,
        } => {
            let mut limits = Limits::default();
            limits.unpacked_bytes = max_unpacked.unwrap_or(limits.unpacked_bytes);
            let options = BuildOptions {
                include,
                limits,
                platform,
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
