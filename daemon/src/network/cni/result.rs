//! Results of plugins, of all versions of the specification.
//!
//! | version | form |
//! |---|---|
//! | 0.1.0, 0.2.0 | `ip4` and `ip6`, each one address with its routes |
//! | 0.3.0 to 0.4.0 | `interfaces`, `ips` with `"version": "4"`, `routes` |
//! | 1.0.0, 1.1.0 | the same without `version` |

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::version::Version;

/// Far more than a pod has.
const ENTRIES_MAX: usize = 1024;

/// What a network gave a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CniResult {
    /// Interfaces, in the pod and on the host.
    pub interfaces: Vec<Interface>,
    /// Addresses, in the plugins' order.
    pub ips: Vec<Ip>,
    /// Routes in the pod.
    pub routes: Vec<Route>,
    /// What names are resolved with; often empty, and kubelet's then.
    pub dns: Dns,
}

/// An interface that a plugin made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its hardware address; may be empty.
    pub mac: String,
    /// The namespace that it is in; empty: the host's.
    pub sandbox: String,
}

/// An address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ip {
    /// The address.
    pub address: IpAddr,
    /// Bits of its network.
    pub prefix_len: u8,
    /// The way out.
    pub gateway: Option<IpAddr>,
    /// Index in `interfaces`.
    pub interface: Option<usize>,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Where to.
    pub destination: IpAddr,
    /// Bits of the destination's network.
    pub prefix_len: u8,
    /// By whom.
    pub gateway: Option<IpAddr>,
}

/// What names are resolved with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dns {
    /// Servers.
    #[serde(default)]
    pub nameservers: Vec<String>,
    /// The local domain.
    #[serde(default)]
    pub domain: String,
    /// Domains that short names are looked up in.
    #[serde(default)]
    pub search: Vec<String>,
    /// Options of the resolver.
    #[serde(default)]
    pub options: Vec<String>,
}

impl CniResult {
    /// The pod's addresses, the primary one first: those of `interface` in the pod, or all
    /// where the result does not say whose they are.
    pub fn addresses(&self, interface: &str) -> Vec<IpAddr> {
        let is_pods = |ip: &&Ip| match ip.interface.and_then(|index| self.interfaces.get(index)) {
            Some(on) => on.name == interface && !on.sandbox.is_empty(),
            None => true,
        };
        let mut addresses: Vec<IpAddr> = Vec::new();
        for ip in self.ips.iter().filter(is_pods) {
            if !addresses.contains(&ip.address) {
                addresses.push(ip.address);
            }
        }
        addresses
    }
}

/// Reads what a plugin printed, and makes of it what the next plugin of the chain is given
/// as `prevResult`.
pub(super) fn parse(printed: &[u8], asked: Version) -> Result<(CniResult, Value), String> {
    let mut value: Value = serde_json::from_slice(printed).map_err(|error| error.to_string())?;
    let fields = value.as_object().ok_or("it is no object")?;
    let version = match fields.get("cniVersion") {
        None => asked,
        Some(Value::String(text)) if text.is_empty() => asked,
        Some(Value::String(text)) => {
            Version::parse(text).ok_or_else(|| format!("its version {text:?} is not known"))?
        }
        Some(other) => return Err(format!("its version is {other}")),
    };
    if version.has_old_results() != asked.has_old_results() {
        return Err(format!(
            "it is of version {version}, but {asked} was asked for"
        ));
    }
    let result = if version.has_old_results() {
        parse_old(&value)?
    } else {
        parse_current(&value)?
    };
    adapt(&mut value, asked);
    Ok((result, value))
}

/// Makes a result of another version one of `asked`.
fn adapt(value: &mut Value, asked: Version) {
    let Some(fields) = value.as_object_mut() else {
        return;
    };
    fields.insert("cniVersion".into(), json!(asked.as_str()));
    let ips = fields.get_mut("ips").and_then(Value::as_array_mut);
    for ip in ips.into_iter().flatten().filter_map(Value::as_object_mut) {
        if asked.has_family_in_results() {
            let is_v6 = ip
                .get("address")
                .and_then(Value::as_str)
                .is_some_and(|text| text.contains(':'));
            ip.insert("version".into(), json!(if is_v6 { "6" } else { "4" }));
        } else {
            ip.remove("version");
        }
    }
}

fn parse_current(value: &Value) -> Result<CniResult, String> {
    let interfaces = list(value, "interfaces")?;
    let interfaces: Vec<_> = interfaces
        .iter()
        .map(parse_interface)
        .collect::<Result<_, _>>()?;
    let mut ips = Vec::new();
    for entry in list(value, "ips")? {
        let (address, prefix_len) = parse_network(entry.get("address"), "address")?;
        let interface = match entry.get("interface") {
            None | Some(Value::Null) => None,
            Some(index) => Some(
                index
                    .as_u64()
                    .and_then(|index| usize::try_from(index).ok())
                    .filter(|index| *index < interfaces.len())
                    .ok_or_else(|| {
                        format!("interface {index} of an address is not in interfaces")
                    })?,
            ),
        };
        ips.push(Ip {
            address,
            prefix_len,
            gateway: parse_gateway(entry.get("gateway"))?,
            interface,
        });
    }
    Ok(CniResult {
        interfaces,
        ips,
        routes: parse_routes(value)?,
        dns: parse_dns(value)?,
    })
}

fn parse_old(value: &Value) -> Result<CniResult, String> {
    let mut result = CniResult {
        dns: parse_dns(value)?,
        ..CniResult::default()
    };
    for family in ["ip4", "ip6"] {
        let Some(entry) = value.get(family).filter(|entry| !entry.is_null()) else {
            continue;
        };
        let (address, prefix_len) = parse_network(entry.get("ip"), "ip")?;
        result.ips.push(Ip {
            address,
            prefix_len,
            gateway: parse_gateway(entry.get("gateway"))?,
            interface: None,
        });
        result.routes.extend(parse_routes(entry)?);
    }
    Ok(result)
}

fn parse_interface(entry: &Value) -> Result<Interface, String> {
    let text = |field: &str| match entry.get(field) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Err(format!("{field} of an interface is {other}")),
    };
    Ok(Interface {
        name: text("name")?,
        mac: text("mac")?,
        sandbox: text("sandbox")?,
    })
}

fn parse_routes(value: &Value) -> Result<Vec<Route>, String> {
    let parse = |entry: &Value| {
        let (destination, prefix_len) = parse_network(entry.get("dst"), "dst")?;
        Ok(Route {
            destination,
            prefix_len,
            gateway: parse_gateway(entry.get("gw"))?,
        })
    };
    list(value, "routes")?.iter().map(parse).collect()
}

fn parse_dns(value: &Value) -> Result<Dns, String> {
    match value.get("dns") {
        None | Some(Value::Null) => Ok(Dns::default()),
        Some(dns) => Dns::deserialize(dns).map_err(|error| format!("dns: {error}")),
    }
}

/// A list, which may be left out.
fn list<'a>(value: &'a Value, field: &str) -> Result<&'a [Value], String> {
    match value.get(field) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(entries)) if entries.len() <= ENTRIES_MAX => Ok(entries),
        Some(Value::Array(entries)) => Err(format!("{field} has {} entries", entries.len())),
        Some(_) => Err(format!("{field} is no list")),
    }
}

/// `10.1.2.3/24`.
fn parse_network(value: Option<&Value>, field: &str) -> Result<(IpAddr, u8), String> {
    let text = value
        .and_then(Value::as_str)
        .ok_or_else(|| format!("{field} is not there"))?;
    let parsed = text.split_once('/').and_then(|(address, bits)| {
        let address: IpAddr = address.parse().ok()?;
        let bits: u8 = bits.parse().ok()?;
        let max = if address.is_ipv4() { 32 } else { 128 };
        (bits <= max).then_some((address, bits))
    });
    parsed.ok_or_else(|| format!("{field} {text:?} is no address with its prefix"))
}

fn parse_gateway(value: Option<&Value>) -> Result<Option<IpAddr>, String> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => match text.parse() {
            Ok(address) => Ok(Some(address)),
            Err(_) => Err(format!("gateway {text:?} is no address")),
        },
        Some(other) => Err(format!("gateway {other} is no address")),
    }
}
