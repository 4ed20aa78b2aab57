//! `unikiln debug bundle`: what a report of a problem needs, in one archive.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use unikiln_daemon::client::Client;

use super::socket::DaemonOptions;

/// Most bytes of a log that are taken: its end.
const LOG_MAX_BYTES: u64 = 1 << 20;
/// Files of the host that say what it is.
const HOST_FILES: [&str; 8] = [
    "/proc/version",
    "/proc/cmdline",
    "/proc/meminfo",
    "/proc/cpuinfo",
    "/proc/mounts",
    "/proc/cgroups",
    "/proc/modules",
    "/etc/os-release",
];

/// Help with finding what went wrong.
#[derive(Debug, Args)]
pub(super) struct Debug {
    #[command(subcommand)]
    command: DebugCommand,
}

#[derive(Debug, Subcommand)]
enum DebugCommand {
    Bundle(Bundle),
}

/// Collect states, logs and facts of the host into a tar archive. Environment variables and the
/// contents of volumes are left out; logs are not: look through them before you send them.
#[derive(Debug, Args)]
struct Bundle {
    /// The archive.
    #[arg(short, long, value_name = "FILE", default_value = "unikiln-debug.tar")]
    output: PathBuf,
    #[command(flatten)]
    daemon: DaemonOptions,
}

impl Debug {
    pub(super) fn execute(self) -> Result<()> {
        let DebugCommand::Bundle(bundle) = self.command;
        bundle.execute()
    }
}

impl Bundle {
    fn execute(self) -> Result<()> {
        let file = File::create_new(&self.output).with_context(|| {
            format!(
                "cannot make {}; name another file with -o",
                self.output.display()
            )
        })?;
        let mut archive = Archive {
            tar: tar::Builder::new(file),
            missing: Vec::new(),
        };
        archive.add("version", env!("CARGO_PKG_VERSION").as_bytes())?;
        for path in HOST_FILES {
            archive.add_file(&format!("host{path}"), Path::new(path))?;
        }
        archive.add("host/kvm", kvm().as_bytes())?;
        match self.daemon.connect() {
            Ok(mut client) => archive.add_daemon(&mut client)?,
            // A daemon that does not answer is what is reported, perhaps.
            Err(error) => archive.missing.push(format!("daemon: {error:#}")),
        }
        let missing = archive.missing.join("\n");
        archive.add("missing", missing.as_bytes())?;
        archive.tar.finish().context("cannot finish the archive")?;
        println!("{}", self.output.display());
        Ok(())
    }
}

/// An archive in the making. What cannot be had is listed in it.
struct Archive {
    tar: tar::Builder<File>,
    missing: Vec<String>,
}

impl Archive {
    fn add(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        header.set_cksum();
        self.tar
            .append_data(&mut header, Path::new("unikiln-debug").join(name), bytes)
            .with_context(|| format!("cannot add {name} to the archive"))
    }

    /// The end of a file.
    fn add_file(&mut self, name: &str, path: &Path) -> Result<()> {
        match tail(path) {
            Ok(bytes) => self.add(name, &bytes),
            Err(error) => {
                self.missing.push(format!("{}: {error}", path.display()));
                Ok(())
            }
        }
    }

    fn add_daemon(&mut self, client: &mut Client) -> Result<()> {
        match client.status() {
            Ok(status) => self.add("daemon/status", format!("{status:#?}\n").as_bytes())?,
            Err(error) => self.missing.push(format!("status: {error}")),
        }
        match client.image_fs_info() {
            Ok(usage) => self.add("daemon/disk", format!("{usage:#?}\n").as_bytes())?,
            Err(error) => self.missing.push(format!("disk usage: {error}")),
        }
        match client.pods() {
            Ok(pods) => self.add("daemon/pods", format!("{pods:#?}\n").as_bytes())?,
            Err(error) => self.missing.push(format!("pods: {error}")),
        }
        let containers = match client.containers() {
            Ok(containers) => containers,
            Err(error) => {
                self.missing.push(format!("containers: {error}"));
                return Ok(());
            }
        };
        for container in containers {
            let (status, info) = match client.container(&container.id) {
                Ok(answer) => answer,
                Err(error) => {
                    self.missing
                        .push(format!("container {}: {error}", container.id));
                    continue;
                }
            };
            let name = format!("containers/{}", container.id);
            self.add(
                &format!("{name}/status"),
                format!("{status:#?}\n").as_bytes(),
            )?;
            self.add(
                &format!("{name}/info.json"),
                without_secrets(&info).as_bytes(),
            )?;
            if !status.log_path.is_empty() {
                self.add_file(&format!("{name}/log"), Path::new(&status.log_path))?;
            }
        }
        Ok(())
    }
}

/// The last bytes of a file.
fn tail(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    if length > LOG_MAX_BYTES {
        file.seek(SeekFrom::Start(length - LOG_MAX_BYTES))?;
    }
    let mut bytes = Vec::new();
    // Files of /proc have no length.
    file.take(LOG_MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A container's configuration, with its variables' names alone.
fn without_secrets(info: &str) -> String {
    let Ok(mut json) = serde_json::from_str::<serde_json::Value>(info) else {
        return String::new();
    };
    if let Some(settings) = json
        .pointer_mut("/config/envs")
        .and_then(|envs| envs.as_array_mut())
    {
        for setting in settings {
            if let Some(value) = setting.get_mut("value") {
                *value = "left out".into();
            }
        }
    }
    if let Some(env) = json.pointer_mut("/image/env") {
        *env = "left out".into();
    }
    format!("{json:#}\n")
}

fn kvm() -> String {
    match fs::File::open("/dev/kvm") {
        Ok(_) => "/dev/kvm can be opened\n".to_owned(),
        Err(error) => format!("/dev/kvm: {error}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::without_secrets;

    #[test]
    fn values_of_variables_are_left_out() {
        let info = r#"{"config":{"envs":[{"key":"TOKEN","value":[115,51]}],"args":["a"]},"image":{"env":["K=s3"]}}"#;
        let text = without_secrets(info);
        assert!(text.contains("TOKEN") && text.contains("\"a\""));
        assert!(!text.contains("115") && !text.contains("s3"));
    }
}
