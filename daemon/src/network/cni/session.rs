//! Runs of plugins: for one pod, one after the other with the same environment, or for none.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use serde_json::Value;

use super::cache::{Attachment, Input};
use super::config::PluginConfig;
use super::plugin::Run;
use super::{Cni, CniError, INTERFACE, Verb};
use crate::network::namespace::Namespace;

/// `CNI_CONTAINERID` of a call that is for no pod.
const NO_POD: &str = "";
/// Incompatible CNI version.
const CODE_VERSION: u64 = 1;

/// Runs of plugins for one pod.
pub(super) struct Session<'a> {
    cni: &'a Cni,
    attachment: &'a Attachment,
    environment: Vec<(&'static str, OsString)>,
    input: Input,
}

impl Session<'_> {
    pub(super) fn run(
        &mut self,
        plugin: &PluginConfig,
        verb: Verb,
        previous: Option<&Value>,
    ) -> Result<Vec<u8>, CniError> {
        let network = &self.attachment.network;
        let executable = self.cni.find(&plugin.kind, network)?;
        let input = plugin.execution(network, &self.attachment.pod.capabilities(), previous);
        let stdin = self
            .input
            .holding(&input)
            .map_err(|source| run_error(plugin, verb, source))?;
        let run = Run {
            kind: &plugin.kind,
            executable: &executable,
            verb,
            environment: &self.environment,
            stdin,
            timeout: self.cni.timeout,
        };
        run.run()
            .map_err(|error| self.name_versions(error, plugin, &executable))
    }

    /// A plugin that does not speak the version of the configuration is asked which it speaks.
    fn name_versions(&self, error: CniError, plugin: &PluginConfig, executable: &Path) -> CniError {
        let CniError::Failed {
            plugin: kind,
            verb,
            code: CODE_VERSION,
            message,
            said,
        } = error
        else {
            return error;
        };
        let asked = self.attachment.network.version.as_str();
        let input = serde_json::json!({ "cniVersion": asked });
        let printed = self
            .cni
            .run_alone(plugin, executable, Verb::Version, &input);
        let answer = printed
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let spoken = answer
            .as_ref()
            .and_then(|answer| answer.get("supportedVersions"));
        let spoken: Vec<_> = spoken
            .and_then(Value::as_array)
            .map(|all| all.iter().filter_map(Value::as_str).take(16).collect())
            .unwrap_or_default();
        let message = match spoken.as_slice() {
            [] => message,
            spoken => format!(
                "{message}; {} asks for {asked}, the plugin speaks {}",
                self.attachment.network.file.display(),
                spoken.join(", ")
            ),
        };
        CniError::Failed {
            plugin: kind,
            verb,
            code: CODE_VERSION,
            message,
            said,
        }
    }
}

impl Cni {
    pub(super) fn session<'a>(
        &'a self,
        attachment: &'a Attachment,
    ) -> Result<Session<'a>, CniError> {
        let pod = &attachment.pod;
        // The specification's word for a namespace that is gone, allowed for DEL alone.
        let is_there = Namespace::is_at(&pod.netns);
        let netns = if is_there {
            pod.netns.clone().into()
        } else {
            OsString::new()
        };
        Ok(Session {
            cni: self,
            attachment,
            environment: self.environment(&pod.id, netns, pod.arguments()),
            input: self.cache.input(&pod.id, self.timeout)?,
        })
    }

    /// Runs a plugin for no pod.
    pub(super) fn run_alone(
        &self,
        plugin: &PluginConfig,
        executable: &Path,
        verb: Verb,
        input: &Value,
    ) -> Result<Vec<u8>, CniError> {
        let stdin = || {
            let mut file = tempfile::tempfile()?;
            io::Write::write_all(&mut file, input.to_string().as_bytes())?;
            io::Seek::rewind(&mut file)?;
            Ok(file)
        };
        let run = Run {
            kind: &plugin.kind,
            executable,
            verb,
            environment: &self.environment(NO_POD, OsString::new(), OsString::new()),
            stdin: stdin().map_err(|source| run_error(plugin, verb, source))?,
            timeout: self.timeout,
        };
        run.run()
    }

    fn environment(
        &self,
        id: &str,
        netns: OsString,
        arguments: OsString,
    ) -> Vec<(&'static str, OsString)> {
        // A directory with a colon cannot be named in it; plugins then miss what is there only.
        let path = std::env::join_paths(&self.bin_dirs).unwrap_or_default();
        vec![
            ("CNI_CONTAINERID", id.into()),
            ("CNI_NETNS", netns),
            ("CNI_IFNAME", INTERFACE.into()),
            ("CNI_ARGS", arguments),
            ("CNI_PATH", path),
        ]
    }
}

fn run_error(plugin: &PluginConfig, verb: Verb, source: io::Error) -> CniError {
    CniError::Run {
        plugin: plugin.kind.clone(),
        verb,
        source,
    }
}
