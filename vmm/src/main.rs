//! `unikiln-vmm`: runs one unikernel file.

mod cli;

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use cli::Command;
use unikiln_vmm::StatsFormat;

fn main() -> ExitCode {
    let start_tsc = unikiln_vmm::clock::read_tsc();
    let code = match cli::parse(lexopt::Parser::from_env()) {
        Ok(Command::Help) => {
            print!("{}", cli::USAGE);
            0
        }
        Ok(Command::Version) => {
            println!("unikiln-vmm {}", env!("CARGO_PKG_VERSION"));
            0
        }
        Ok(Command::Run(mut options)) => {
            options.config.start_tsc = Some(start_tsc);
            run(*options)
        }
        Ok(Command::Container(spec)) => unikiln_vmm::container::run(&spec, start_tsc),
        Err(error) => fail(&error),
    };
    ExitCode::from(code as u8)
}

fn run(options: cli::Options) -> i32 {
    match unikiln_vmm::run(options.config) {
        Ok(outcome) => {
            let text = match options.stats {
                None => return outcome.exit_code,
                Some(StatsFormat::Text) => outcome.stats.to_string(),
                Some(StatsFormat::Json) => {
                    serde_json::to_string(&outcome.stats).unwrap_or_default()
                }
            };
            // A closed standard error must not change the program's exit code.
            let _ = writeln!(std::io::stderr(), "{text}");
            outcome.exit_code
        }
        Err(error) => error.refusal_code().map_or_else(|| fail(&error), i32::from),
    }
}

/// Prints an error with its causes.
fn fail(error: &dyn Error) -> i32 {
    let text = unikiln_vmm::error::in_full(error);
    let _ = writeln!(std::io::stderr(), "unikiln-vmm: {text}");
    unikiln_vmm::outcome::CODE_OWN_FAILURE
}
