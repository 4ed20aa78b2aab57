//! Command line of the builder.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use unikiln_builder::{BuildOptions, ImageRef, NoProgress};

/// Exit code of a failure of this program itself, as in docker and podman.
const EXIT_OWN_FAILURE: u8 = 125;

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
        /// A file or directory to take along (host: images only).
        #[arg(long)]
        include: Vec<PathBuf>,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("unikiln-builder: {error:#}");
            ExitCode::from(EXIT_OWN_FAILURE)
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command {
        Command::Build {
            image,
            output,
            include,
        } => {
            let options = BuildOptions {
                include,
                ..BuildOptions::default()
            };
            unikiln_builder::build(&image, &output, &options, &mut NoProgress)?;
        }
    }
    Ok(())
}
