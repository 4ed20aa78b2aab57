//! Names of images as pods write them: in a registry, and nowhere else. `oci:`, `host:` and the
//! like, which the command line takes, would be the node's own files.

use unikiln_builder::registry::Reference;
use unikiln_builder::{ImageRef, ReferenceError};

use super::ImageError;

/// Fewest digits that stand for an id: with fewer, an image's short name could be one.
const PREFIX_MIN_DIGITS: usize = 12;
/// Digits of an id.
const ID_DIGITS: usize = 64;
const ALGORITHM: &str = "sha256:";

/// Reads a name. Where there is a digest, it alone counts, as with containerd.
pub(super) fn parse(text: &str) -> Result<Reference, ImageError> {
    let bad = |reason| ImageError::BadName {
        text: text.chars().take(ID_DIGITS * 4).collect(),
        reason,
    };
    // That is no name of anything, but would not be found in a registry's grammar.
    let prefixed = format!("docker://{text}");
    match ImageRef::parse(&prefixed) {
        Ok(ImageRef::Registry(reference)) => Ok(match reference.digest() {
            Some(digest) => reference.clone_with_digest(digest.to_owned()),
            None => reference,
        }),
        Err(ReferenceError::BadName { reason, .. }) => Err(bad(reason)),
        Ok(_) | Err(_) => Err(bad("that is no name in a registry")),
    }
}

/// `REGISTRY/PATH`.
pub(super) fn repository(reference: &Reference) -> String {
    format!("{}/{}", reference.registry(), reference.repository())
}

/// Whether the name has neither tag nor digest, so that `latest` is only a default.
pub(super) fn is_bare(text: &str) -> bool {
    let last = text.rsplit('/').next().unwrap_or(text);
    !last.contains([':', '@'])
}

/// The digits of an id, or of its start: `sha256:` in front, or none.
pub(super) fn id_digits(text: &str) -> Option<&str> {
    let digits = text.strip_prefix(ALGORITHM).unwrap_or(text);
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let fits = (PREFIX_MIN_DIGITS..=ID_DIGITS).contains(&digits.len());
    (fits && digits.bytes().all(is_digit)).then_some(digits)
}

/// Whether an id is the one that is meant.
pub(super) fn is_id(id: &str, digits: &str) -> bool {
    id.strip_prefix(ALGORITHM)
        .is_some_and(|whole| whole.starts_with(digits))
}

#[cfg(test)]
mod tests {
    use super::{id_digits, is_bare, is_id, parse, repository};

    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn names_are_those_of_registries_alone() {
        for (text, whole) in [
            ("busybox", "docker.io/library/busybox:latest"),
            ("busybox:1.28", "docker.io/library/busybox:1.28"),
            ("h:5000/a/b:1", "h:5000/a/b:1"),
        ] {
            assert_eq!(parse(text).expect(text).to_string(), whole);
        }
        for text in [format!("h:1/a@{DIGEST}"), format!("h:1/a:t@{DIGEST}")] {
            let reference = parse(&text).expect("a name");
            assert_eq!(reference.to_string(), format!("h:1/a@{DIGEST}"));
            assert_eq!(repository(&reference), "h:1/a");
        }
        // A tag, as with docker.
        assert_eq!(
            parse("host:ls").expect("a name").to_string(),
            "docker.io/library/host:ls"
        );
        for text in [
            "",
            " ",
            "/etc",
            "host:/bin/ls",
            "oci:/var/lib",
            "docker://a",
            "A",
            "a b",
            "a@sha256:1",
            "a:",
            "\0",
        ] {
            let error = parse(text).expect_err(text);
            assert_eq!(error.code(), tonic::Code::InvalidArgument, "{text}");
        }
        let error = parse(&"a/".repeat(1 << 20)).expect_err("too long");
        assert!(error.to_string().len() < 1000);
    }

    #[test]
    fn short_words_are_no_ids() {
        assert_eq!(id_digits(DIGEST), Some(&DIGEST[7..]));
        assert_eq!(id_digits("0123456789ab"), Some("0123456789ab"));
        for text in [
            "",
            "cafe",
            "0123456789a",
            "sha256:",
            "0123456789AB",
            "0123456789ag",
        ] {
            assert_eq!(id_digits(text), None, "{text}");
        }
        assert_eq!(id_digits(&"a".repeat(65)), None);
        assert!(is_id(DIGEST, "0123456789ab") && !is_id(DIGEST, "1123456789ab"));
    }

    #[test]
    fn a_name_without_tag_is_bare() {
        assert!(is_bare("a") && is_bare("h:1/a"));
        assert!(!is_bare("a:1") && !is_bare("h:1/a:1") && !is_bare("a@sha256:1"));
    }
}
