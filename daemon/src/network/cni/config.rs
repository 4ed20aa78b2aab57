//! Network configurations: the files of `/etc/cni/net.d`, and what of them a plugin is given.
//!
//! The first file by name is the network of all pods. It is read anew for each pod, so a
//! change holds for the next one; what a pod was added with is kept for its end (`cache`).

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::error::CniError;
use super::version::Version;

const EXTENSIONS: [&str; 3] = ["conf", "conflist", "json"];
/// Far more than such a file has.
const FILE_MAX_BYTES: u64 = 1 << 20;
/// Far more than a chain has.
const PLUGINS_MAX: usize = 64;

/// A network: a chain of plugins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// The version that its plugins are spoken to in.
    pub version: Version,
    /// The file that it comes from.
    pub file: PathBuf,
    /// Plugins are not asked to check.
    pub disable_check: bool,
    /// In the order of ADD.
    pub plugins: Vec<PluginConfig>,
}

/// One plugin of a chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PluginConfig {
    /// `type`: the name of its executable.
    pub kind: String,
    /// All that the file says of it.
    pub fields: Map<String, Value>,
}

impl PluginConfig {
    /// Whether it takes the capability `name`.
    pub fn takes(&self, name: &str) -> bool {
        let declared = self
            .fields
            .get("capabilities")
            .and_then(|all| all.get(name));
        declared == Some(&Value::Bool(true))
    }

    /// The plugin that it delegates addresses to.
    pub fn ipam(&self) -> Option<&str> {
        let kind = self.fields.get("ipam")?.get("type")?.as_str()?;
        (!kind.is_empty()).then_some(kind)
    }

    /// What the plugin reads, by section 3 of the specification.
    pub fn execution(
        &self,
        network: &Network,
        arguments: &Map<String, Value>,
        previous: Option<&Value>,
    ) -> Value {
        let mut fields = self.fields.clone();
        fields.insert("cniVersion".into(), json!(network.version.as_str()));
        fields.insert("name".into(), json!(network.name));
        fields.remove("capabilities");
        let taken: Map<String, Value> = arguments
            .iter()
            .filter(|(name, _)| self.takes(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        if !taken.is_empty() {
            fields.insert("runtimeConfig".into(), Value::Object(taken));
        }
        if let Some(previous) = previous {
            fields.insert("prevResult".into(), previous.clone());
        }
        Value::Object(fields)
    }
}

/// The network of the first file in `directory`.
pub fn load(directory: &Path) -> Result<Network, CniError> {
    let files = files(directory, &EXTENSIONS)?;
    let none = || CniError::NoNetwork {
        directory: directory.to_owned(),
    };
    read(files.first().ok_or_else(none)?)
}

/// Files with one of the extensions, by name; none where there is no directory.
fn files(directory: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>, CniError> {
    let failed = |source| CniError::Read {
        path: directory.to_owned(),
        source,
    };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        // Followed: configurations are often symbolic links.
        if extension.is_some_and(|extension| extensions.contains(&extension)) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<Network, CniError> {
    let fields = read_object(path)?;
    let is_list = path
        .extension()
        .is_some_and(|extension| extension == "conflist");
    let bad = |what: String| CniError::BadNetwork {
        path: path.to_owned(),
        what,
    };
    let only_inlined = flag(&fields, "loadOnlyInlinedPlugins").map_err(bad)?;
    let mut network = parse(fields, is_list).map_err(bad)?;
    network.file = path.to_owned();
    // Since 1.1 packages may drop plugins of their own into a directory named as the network.
    if is_list && network.version.has_status() && !only_inlined {
        let directory = path.parent().unwrap_or(Path::new("/")).join(&network.name);
        for file in files(&directory, &["conf"])? {
            let plugin = parse_plugin(Value::Object(read_object(&file)?));
            let bad = |what| CniError::BadNetwork {
                path: file.clone(),
                what,
            };
            network.plugins.push(plugin.map_err(bad)?);
        }
    }
    match network.plugins.len() {
        1..=PLUGINS_MAX => Ok(network),
        count => Err(bad(format!(
            "it has {count} plugins, not 1 to {PLUGINS_MAX}"
        ))),
    }
}

fn read_object(path: &Path) -> Result<Map<String, Value>, CniError> {
    let failed = |source| CniError::Read {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(FILE_MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > FILE_MAX_BYTES {
        return Err(CniError::BadNetwork {
            path: path.to_owned(),
            what: format!("it has more than {FILE_MAX_BYTES} bytes"),
        });
    }
    serde_json::from_slice(&bytes).map_err(|source| CniError::Parse {
        path: path.to_owned(),
        source,
    })
}

/// A list, or the one plugin of a file of before lists.
fn parse(mut fields: Map<String, Value>, is_list: bool) -> Result<Network, String> {
    let name = match fields.get("name") {
        Some(Value::String(name)) if is_name(name) => name.clone(),
        Some(name) => return Err(format!("{name} is no network name")),
        None => return Err("it has no name".into()),
    };
    let version = parse_version(&fields)?;
    // A list in a .conf or .json file is taken for what it is.
    let plugins = match fields.remove("plugins") {
        Some(Value::Array(plugins)) => plugins,
        Some(_) => return Err("plugins is no list".into()),
        None if is_list => Vec::new(),
        None => vec![Value::Object(fields.clone())],
    };
    Ok(Network {
        name,
        version,
        file: PathBuf::new(),
        disable_check: flag(&fields, "disableCheck")?,
        plugins: plugins
            .into_iter()
            .map(parse_plugin)
            .collect::<Result<_, _>>()?,
    })
}

fn parse_version(fields: &Map<String, Value>) -> Result<Version, String> {
    let parse = |value: &Value| {
        let text = value
            .as_str()
            .ok_or_else(|| format!("{value} is no version"))?;
        Ok::<_, String>((text.to_owned(), Version::parse(text)))
    };
    let mut asked = Vec::new();
    if let Some(version) = fields.get("cniVersion") {
        asked.push(parse(version)?);
    }
    match fields.get("cniVersions") {
        Some(Value::Array(versions)) => {
            for version in versions {
                asked.push(parse(version)?);
            }
        }
        Some(_) => return Err("cniVersions is no list".into()),
        None => {}
    }
    if asked.is_empty() {
        return Ok(Version::V0_1_0);
    }
    let newest = asked.iter().filter_map(|(_, version)| *version).max();
    newest.ok_or_else(|| {
        let texts: Vec<_> = asked.iter().map(|(text, _)| text.as_str()).collect();
        format!(
            "of CNI version {} none is known; 0.1.0 to 1.1.0 are",
            texts.join(", ")
        )
    })
}

fn parse_plugin(value: Value) -> Result<PluginConfig, String> {
    let Value::Object(fields) = value else {
        return Err("a plugin is no object".into());
    };
    match fields.get("type") {
        Some(Value::String(kind)) if is_file_name(kind) => Ok(PluginConfig {
            kind: kind.clone(),
            fields,
        }),
        Some(kind) => Err(format!("{kind} is no plugin's type")),
        None => Err("a plugin has no type".into()),
    }
}

/// The reference implementation once wrote booleans as text.
fn flag(fields: &Map<String, Value>, name: &str) -> Result<bool, String> {
    match fields.get(name) {
        None => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(Value::String(text)) if text == "true" || text == "false" => Ok(text == "true"),
        Some(other) => Err(format!("{name} is {other}, not true or false")),
    }
}

/// Names of networks and container ids, by section 2 of the specification.
pub fn is_name(text: &str) -> bool {
    let starts = text
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric());
    starts
        && text.len() <= 255
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

/// What names a file of a directory, not one elsewhere.
fn is_file_name(text: &str) -> bool {
    !matches!(text, "" | "." | "..") && text.len() <= 255 && !text.contains(['/', '\0'])
}
