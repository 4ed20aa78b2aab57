//! A pod's resolv.conf: what its DNS configuration says, or the node's where it says nothing.
//!
//! The node's own resolver often listens on a loopback address (systemd-resolved: 127.0.0.53),
//! which is another machine's seen from a pod. As docker does, such servers are left out, or
//! the file that systemd-resolved keeps of the real ones is taken.

use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::proto::DnsConfig;

const HOST_FILE: &str = "/etc/resolv.conf";
/// Where systemd-resolved writes the servers that it asks itself.
const RESOLVED_FILE: &str = "/run/systemd/resolve/resolv.conf";
/// What a file may have.
const FILE_MAX_BYTES: u64 = 64 << 10;
/// Kubernetes' bounds on what a pod may say.
const SERVERS_MAX: usize = 64;
const SEARCHES_MAX: usize = 256;
const SEARCHES_MAX_BYTES: usize = 16 << 10;
const OPTIONS_MAX: usize = 64;
const WORD_MAX_BYTES: usize = 1024;
/// In a file that is left without a server.
const NO_SERVER_NOTE: &str = "# the node's servers are on its loopback, which a pod cannot reach\n";

/// Why there is no resolv.conf.
#[derive(Debug, thiserror::Error)]
pub enum ResolvError {
    /// Something of the configuration would break the file.
    #[error("DNS configuration: {what} {text:?} {reason}")]
    BadWord {
        /// `server`, `search`, `option`.
        what: &'static str,
        /// As given, the start of it.
        text: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// There are too many.
    #[error("DNS configuration: {count} {what}s are more than {max}")]
    TooMany {
        /// `server`, `search`, `option`.
        what: &'static str,
        /// How many, or bytes of them.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// The node's file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The text of a pod's resolv.conf. `host_network`: the pod reaches the node's loopback.
pub fn text(dns: Option<&DnsConfig>, host_network: bool) -> Result<String, ResolvError> {
    match dns {
        Some(dns)
            if !(dns.servers.is_empty() && dns.searches.is_empty() && dns.options.is_empty()) =>
        {
            render(dns)
        }
        _ => {
            let host = read(Path::new(HOST_FILE))?;
            if host_network || !loopback_only(&host) {
                return Ok(if host_network {
                    host
                } else {
                    without_loopback(&host)
                });
            }
            // As with any resolver on loopback whose own servers are not known: none is left.
            Ok(without_loopback(&match read(Path::new(RESOLVED_FILE))? {
                resolved if !resolved.is_empty() => resolved,
                _ => host,
            }))
        }
    }
}

/// `search`, a `nameserver` for each, `options`: the order in which containerd writes them.
fn render(dns: &DnsConfig) -> Result<String, ResolvError> {
    check("server", &dns.servers, SERVERS_MAX)?;
    check("search", &dns.searches, SEARCHES_MAX)?;
    check("option", &dns.options, OPTIONS_MAX)?;
    for server in &dns.servers {
        // With a scope: fe80::1%eth0.
        let address = server
            .split_once('%')
            .map_or(server.as_str(), |(address, _)| address);
        if address.parse::<IpAddr>().is_err() {
            return Err(bad("server", server, "is no IP address"));
        }
    }
    let searches_bytes = dns.searches.iter().map(|search| search.len() + 1).sum();
    if searches_bytes > SEARCHES_MAX_BYTES {
        let (count, max) = (searches_bytes, SEARCHES_MAX_BYTES);
        return Err(ResolvError::TooMany {
            what: "search byte",
            count,
            max,
        });
    }
    let mut text = String::new();
    if !dns.searches.is_empty() {
        text += &format!("search {}\n", dns.searches.join(" "));
    }
    for server in &dns.servers {
        text += &format!("nameserver {server}\n");
    }
    if !dns.options.is_empty() {
        text += &format!("options {}\n", dns.options.join(" "));
    }
    Ok(text)
}

fn check(what: &'static str, words: &[String], max: usize) -> Result<(), ResolvError> {
    if words.len() > max {
        return Err(ResolvError::TooMany {
            what,
            count: words.len(),
            max,
        });
    }
    for word in words {
        let reason = match word {
            word if word.is_empty() => "is empty",
            word if word.len() > WORD_MAX_BYTES => "is too long",
            word if word.contains(|char: char| char.is_whitespace() || char.is_control()) => {
                "has white space, a line break or a control character"
            }
            _ => continue,
        };
        return Err(bad(what, word, reason));
    }
    Ok(())
}

fn bad(what: &'static str, text: &str, reason: &'static str) -> ResolvError {
    let text = text.chars().take(64).collect();
    ResolvError::BadWord { what, text, reason }
}

/// Empty where there is no such file: a resolver then asks the local machine, and finds none.
fn read(path: &Path) -> Result<String, ResolvError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_MAX_BYTES).read_to_end(&mut bytes));
    match read {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(ResolvError::Read {
            path: path.to_owned(),
            source: error,
        }),
        _ => Ok(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

/// The server that a line names.
fn server(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    (words.next() == Some("nameserver")).then(|| words.next().unwrap_or_default())
}

fn is_loopback(server: &str) -> bool {
    server
        .parse::<IpAddr>()
        .is_ok_and(|address| address.to_canonical().is_loopback())
}

fn loopback_only(text: &str) -> bool {
    let mut servers = text.lines().filter_map(server).peekable();
    servers.peek().is_some() && servers.all(is_loopback)
}

fn without_loopback(text: &str) -> String {
    let mut kept = String::new();
    for line in text
        .lines()
        .filter(|line| !server(line).is_some_and(is_loopback))
    {
        kept += line;
        kept.push('\n');
    }
    if loopback_only(text) {
        kept += NO_SERVER_NOTE;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dns(servers: &[&str], searches: &[&str], options: &[&str]) -> DnsConfig {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        DnsConfig {
            servers: words(servers),
            searches: words(searches),
            options: words(options),
        }
    }

    #[test]
    fn a_configuration_is_written_in_containerds_order() {
        let all = dns(
            &["10.96.0.10", "fe80::1%eth0"],
            &["a.svc", "b"],
            &["ndots:5", "edns0"],
        );
        let expected = "search a.svc b\nnameserver 10.96.0.10\nnameserver fe80::1%eth0\noptions ndots:5 edns0\n";
        assert_eq!(text(Some(&all), false).unwrap(), expected);
        let one = dns(&["1.1.1.1"], &[], &[]);
        assert_eq!(text(Some(&one), true).unwrap(), "nameserver 1.1.1.1\n");
    }

    #[test]
    fn what_would_break_the_file_is_refused() {
        let long = "x".repeat(WORD_MAX_BYTES + 1);
        for bad in [
            dns(&["dns.example"], &[], &[]),
            dns(&[""], &[], &[]),
            dns(&[], &["a b"], &[]),
            dns(&[], &["a\nnameserver 6.6.6.6"], &[]),
            dns(&[], &[], &["x\0"]),
            dns(&[], &[&long], &[]),
            dns(&["1.1.1.1"; SERVERS_MAX + 1], &[], &[]),
            dns(&[], &["x".repeat(200).as_str(); 100], &[]),
        ] {
            let error = text(Some(&bad), false).unwrap_err();
            assert!(
                error.to_string().starts_with("DNS configuration: "),
                "{error}"
            );
        }
    }

    #[test]
    fn servers_on_loopback_are_left_out() {
        let both = "# by hand\nnameserver 127.0.0.53\nnameserver 8.8.8.8\nsearch x\n";
        assert!(!loopback_only(both));
        assert_eq!(
            without_loopback(both),
            "# by hand\nnameserver 8.8.8.8\nsearch x\n"
        );
        let stub = "nameserver 127.0.0.53\nnameserver ::1\noptions edns0\n";
        assert!(loopback_only(stub));
        assert_eq!(
            without_loopback(stub),
            format!("options edns0\n{NO_SERVER_NOTE}")
        );
        assert!(!loopback_only("search x\n"));
    }

    #[test]
    fn without_a_configuration_it_is_the_nodes() {
        let host = read(Path::new(HOST_FILE)).unwrap();
        assert_eq!(text(None, true).unwrap(), host);
        assert_eq!(text(Some(&DnsConfig::default()), true).unwrap(), host);
        assert!(!loopback_only(&text(None, false).unwrap()));
    }
}
