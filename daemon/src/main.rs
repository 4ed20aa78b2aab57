//! `unikiln-daemon`: the CRI server and the commands that ask it. `unikiln serve`, `ps`, `logs` and
//! `debug` run this program, which lies beside `unikiln`: a boot by `unikiln run` is not to load
//! a server first.

#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

use clap::Parser;

/// The exit code of our own failures, as with `unikiln`.
const OWN_FAILURE: u8 = 125;

fn main() -> ExitCode {
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
    match command.execute() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("unikiln: {error:#}");
            OWN_FAILURE.into()
        }
    }
}
