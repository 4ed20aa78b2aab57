//! The command `unikiln`: reads the arguments, runs one subcommand, and turns
//! its end into an exit code. Nothing is set up that a boot does not need:
//! `unikiln run FILE.uk` is as much start-up time as loading this program.
//!
//! | exit code | meaning |
//! |---|---|
//! | 125 | `unikiln` itself failed |
//! | 126, 127 | the program cannot be executed, was not found |
//! | 128 + N | signal N ended the program |
//! | any other | the program's own |
//!
//! `unikiln check` ends with 0 where an image runs, 1 where it may not, 2 where it cannot.

#![forbid(unsafe_code)]

mod cli;
mod progress;

use std::process::ExitCode;

use clap::Parser;

/// The exit code of our own failures, as with docker and podman.
const OWN_FAILURE: u8 = 125;

fn main() -> ExitCode {
    let start_tsc = unikiln_vmm::clock::read_tsc();
    let command = match cli::Cli::try_parse() {
        Ok(command) => command,
        Err(message) => {
            // Nothing is left to tell where this cannot be printed.
            let _ = message.print();
            return if message.use_stderr() {
                OWN_FAILURE.into()
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match command.execute(start_tsc) {
        Ok(code) => code.into(),
        Err(error) => {
            eprintln!("unikiln: {error:#}");
            OWN_FAILURE.into()
        }
    }
}
