//! A command in a container that runs: `RUNTIME exec --process FILE`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use oci_spec::runtime::Spec;

use super::output::collect;
use super::process;
use super::runtime::{Runtime, words};
use crate::handler::{ExecOutput, HandlerError};

/// Most bytes of each stream that are given back.
const OUTPUT_MAX_BYTES: usize = 16 << 20;
/// What a runtime says with when it cannot start the command.
const FAILED_CODES: [i32; 4] = [1, 126, 127, 255];

/// Runs `command` with the user, environment and rights of the container in `bundle`.
pub(super) fn exec(
    runtime: &Runtime,
    id: &str,
    bundle: &Path,
    command: &[String],
    limit: Option<Duration>,
) -> Result<ExecOutput, HandlerError> {
    if command.first().is_none_or(String::is_empty) {
        let text = "there is no command to run".to_owned();
        return Err(HandlerError::Invalid(text));
    }
    let failed = |what: &str, error: &dyn std::fmt::Display| {
        HandlerError::Failed(format!("{what} of container {id}: {error}"))
    };
    let spec = Spec::load(bundle.join("config.json"))
        .map_err(|error| failed("cannot read config.json", &error))?;
    let mut description = spec.process().clone().unwrap_or_default();
    description.set_args(Some(command.to_vec()));
    description.set_terminal(Some(false));
    let files = Files::new(bundle).map_err(|error| failed("cannot write to the bundle", &error))?;
    let text = serde_json::to_vec(&description)
        .map_err(|error| failed("cannot describe a command", &error))?;
    fs::write(files.process(), text)
        .map_err(|error| failed("cannot write to the bundle", &error))?;
    let mut child = runtime
        .command()
        .arg("exec")
        .arg("--process")
        .arg(files.process())
        .arg("--pid-file")
        .arg(files.pid())
        .arg(id)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed("cannot start the OCI runtime", &error))?;
    let collected = collect(&mut child, OUTPUT_MAX_BYTES, limit);
    let pid = fs::read_to_string(files.pid()).ok();
    let pid = pid.and_then(|text| text.trim().parse::<i32>().ok());
    let has_ended = collected
        .as_ref()
        .is_ok_and(|output| output.status.is_some());
    if !has_ended {
        let heads: Vec<_> = pid.into_iter().chain([child.id() as i32]).collect();
        process::kill_family(&heads);
        // It was killed with the rest.
        let _ = child.wait();
    }
    let output =
        collected.map_err(|error| failed("cannot read the output of a command", &error))?;
    let Some(status) = output.status else {
        let text = format!(
            "command {command:?} did not end within {} s and was killed",
            limit.unwrap_or_default().as_secs_f64()
        );
        return Err(HandlerError::Timeout(text));
    };
    let exit_code = status.code().unwrap_or(255);
    if pid.is_none() && FAILED_CODES.contains(&exit_code) {
        let text = format!(
            "command {command:?} cannot be run: {}",
            words(&output.stderr)
        );
        return Err(HandlerError::Failed(text));
    }
    Ok(ExecOutput {
        exit_code,
        stdout: output.stdout,
        stderr: output.stderr,
    })
}

/// Files of one command, removed with it.
struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    fn new(bundle: &Path) -> std::io::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("exec-")
            .tempdir_in(bundle)?;
        Ok(Self { directory })
    }

    fn process(&self) -> PathBuf {
        self.directory.path().join("process.json")
    }

    fn pid(&self) -> PathBuf {
        self.directory.path().join("pid")
    }
}
