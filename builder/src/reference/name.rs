//! Names in registries, as docker reads them:
//!
//! ```text
//! [HOST[:PORT]/]PATH[:TAG][@DIGEST]
//! ```
//!
//! What is before the first `/` is a host if it has a `.` or a `:`, or is
//! `localhost`. Without a host it is docker.io, and there a path of one word is
//! below `library`. Without tag and digest the tag is `latest`.
//!
//! `oci-distribution` reads the same by a regular expression, whose compiler and
//! Unicode tables would be a tenth of the program, and be relocated at each start.

use oci_distribution::Reference;

use crate::oci::Digest;

const DEFAULT_HOST: &str = "docker.io";
/// The same, as docker's files call it.
const OLD_DEFAULT_HOST: &str = "index.docker.io";
const DEFAULT_DIRECTORY: &str = "library";
const DEFAULT_TAG: &str = "latest";
/// Most bytes of host and path.
const NAME_MAX_BYTES: usize = 255;
const TAG_MAX_BYTES: usize = 128;

/// Reads a name; what is wrong with it, to be said in brackets.
pub(super) fn parse(text: &str) -> Result<Reference, &'static str> {
    if text.starts_with(['/', '.']) {
        return Err("that is a path");
    }
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => {
            Digest::parse(digest).map_err(|_| "its digest is neither sha256 nor sha512")?;
            (rest, Some(digest.to_owned()))
        }
        None => (text, None),
    };
    let last = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match rest[last..].split_once(':') {
        Some((word, tag)) => (&rest[..last + word.len()], Some(tag.to_owned())),
        None => (rest, None),
    };
    if tag.as_deref().is_some_and(|tag| !is_tag(tag)) {
        return Err("its tag is none");
    }
    let (host, path) = split_host(name);
    if !is_host(host) {
        return Err("its host is none");
    }
    if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("repository names are lower-case");
    }
    if !path.split('/').all(is_word) {
        return Err("its path has characters that a registry does not take");
    }
    let (host, path) = match host {
        DEFAULT_HOST | OLD_DEFAULT_HOST if !path.contains('/') => (
            DEFAULT_HOST.to_owned(),
            format!("{DEFAULT_DIRECTORY}/{path}"),
        ),
        OLD_DEFAULT_HOST => (DEFAULT_HOST.to_owned(), path.to_owned()),
        host => (host.to_owned(), path.to_owned()),
    };
    // With what was left out, as it is printed.
    if host.len() + 1 + path.len() > NAME_MAX_BYTES {
        return Err("it is longer than 255 bytes");
    }
    Ok(match (tag, digest) {
        (Some(tag), Some(digest)) => Reference::with_tag_and_digest(host, path, tag, digest),
        (None, Some(digest)) => Reference::with_digest(host, path, digest),
        (tag, None) => {
            let tag = tag.unwrap_or_else(|| DEFAULT_TAG.to_owned());
            Reference::with_tag(host, path, tag)
        }
    })
}

fn split_host(name: &str) -> (&str, &str) {
    match name.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path),
        _ => (DEFAULT_HOST, name),
    }
}

/// Labels of letters, digits and inner hyphens, and a port.
fn is_host(host: &str) -> bool {
    let (name, port) = match host.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (host, None),
    };
    let is_label = |label: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty()
            && label.bytes().all(fits)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_port = |port: &str| {
        port.bytes().all(|byte| byte.is_ascii_digit())
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    };
    name.split('.').all(is_label) && port.is_none_or(is_port)
}

/// Letters and digits, with `.`, `_`, `__` or hyphens between.
fn is_word(word: &str) -> bool {
    let is_end = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    let bytes = word.as_bytes();
    if !is_end(bytes.first()) || !is_end(bytes.last()) {
        return false;
    }
    let separators = word.split(|char: char| char.is_ascii_alphanumeric());
    separators.into_iter().all(|between| {
        matches!(between, "" | "." | "_" | "__") || between.bytes().all(|byte| byte == b'-')
    })
}

fn is_tag(tag: &str) -> bool {
    let is_start = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= TAG_MAX_BYTES
        && tag.bytes().next().is_some_and(is_start)
        && tag
            .bytes()
            .all(|byte| is_start(byte) || matches!(byte, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use oci_distribution::Reference;
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::parse;

    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    /// What both readers must say of a name.
    fn compare(text: &str) -> Result<(), String> {
        let theirs = Reference::try_from(text).ok();
        let ours = parse(text).ok();
        // Theirs takes digests of upper-case and of sha384, ports above 65535, and upper-case
        // in the first word of a repository (`A/a`), but not in others.
        let has_upper_case = |theirs: &Reference| {
            let letters = theirs.repository().bytes();
            letters.into_iter().any(|byte| byte.is_ascii_uppercase())
        };
        let is_stricter =
            text.contains('@') || text.contains(':') || theirs.as_ref().is_some_and(has_upper_case);
        if ours == theirs || (ours.is_none() && is_stricter) {
            Ok(())
        } else {
            Err(format!("{text:?}: {ours:?} is not {theirs:?}"))
        }
    }

    #[test]
    fn names_are_read_as_the_specification_reads_them() {
        for text in [
            "busybox",
            "a/b",
            "a/b/c:1",
            "host/a",
            "h.x/a",
            "h:1/a",
            "h:1",
            "localhost/a",
            "localhost",
            "docker.io/a",
            "index.docker.io/a",
            "index.docker.io/a/b",
            "a__b",
            "a___b",
            "a--b",
            "a.b",
            "a..b",
            "a-",
            "-a",
            "_a",
            "a_",
            "A",
            "A/a",
            "a/B",
            "H.x/a",
            "",
            "/",
            "a/",
            "a//b",
            "a:",
            "a:b:c",
            "a: b",
            "a:_b",
            "a:-b",
            "h:/a",
            "h:x/a",
            "-h.x/a",
            "h-.x/a",
            "h..x/a",
            "[::1]:5000/a",
            "a b",
            "ä",
            "a/ä",
            "xn--n3h.com/a:b",
        ] {
            compare(text).expect("the same");
            compare(&format!("{text}@{DIGEST}")).expect("the same");
        }
        let long = format!("h.x/{}", "a/".repeat(126) + "a");
        assert!(parse(&long).is_err());
        assert!(parse(&format!("a:{}", "t".repeat(129))).is_err());
        assert!(parse(&"a".repeat(237)).is_ok() && parse(&"a".repeat(238)).is_err());
        assert!(parse("h:65536/a").is_err() && parse("h:0/a").is_err());
        assert!(parse("a@sha256:12").is_err() && parse(&format!("a@{DIGEST}@{DIGEST}")).is_err());
    }

    proptest! {
        #[test]
        fn any_name_is_read_or_refused_as_the_specification_does(
            text in "[a-cA.:/_-]{0,12}(:[a-z0-9._-]{0,4})?",
        ) {
            let same = compare(&text);
            prop_assert!(same.is_ok(), "{:?}", same);
        }

        #[test]
        fn what_is_read_prints_the_same(text in "\\PC{0,24}") {
            if let Ok(reference) = parse(&text) {
                let printed = reference.to_string();
                prop_assert_eq!(parse(&printed), Ok(reference));
            }
        }
    }
}
