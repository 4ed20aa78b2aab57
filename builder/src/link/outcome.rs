//! What became of one file: how it is remembered, and how it is written down for
//! the next image that has the same file.

use serde::{Deserialize, Serialize};

use super::report::{Counts, LeftFile};
use crate::libos::hex;
use crate::rootfs::storage::Edit;

/// What is to be changed of a file and what is left in it, or why all of it is
/// left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome(pub(super) Result<(Vec<Edit>, Counts), LeftFile>);

/// The written form: JSON, bytes in hexadecimal.
#[derive(Serialize, Deserialize)]
enum Written {
    Bound {
        counts: Counts,
        edits: Vec<(usize, String)>,
    },
    Left(LeftFile),
}

impl Outcome {
    pub(super) fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(&match &self.0 {
            Ok((edits, counts)) => Written::Bound {
                counts: counts.clone(),
                edits: edits.iter().map(|(at, new)| (*at, hex(new))).collect(),
            },
            Err(reason) => Written::Left(*reason),
        })
    }

    /// `None` for what no [`Self::encode`] has written.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        Some(Self(match serde_json::from_slice(bytes).ok()? {
            Written::Bound { counts, edits } => {
                let edits = edits.into_iter();
                let edits = edits.map(|(at, new)| Some((at, unhex(&new)?)));
                Ok((edits.collect::<Option<_>>()?, counts))
            }
            Written::Left(reason) => Err(reason),
        }))
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = digits.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    pairs
        .map(|pair| Some((digit(pair[0])? << 4 | digit(pair[1])?) as u8))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::{Counts, LeftFile, Outcome};
    use crate::link::report::LeftSite;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            edits: Vec<(usize, Vec<u8>)>,
            bound: u64,
            left in any::<Option<u64>>(),
        ) {
            let mut counts = Counts { bound, ..Counts::default() };
            if let Some(left) = left {
                counts.left.insert(LeftSite::NoGap, left);
            }
            let outcome = Outcome(Ok((edits, counts)));
            let bytes = outcome.encode().expect("JSON");
            prop_assert_eq!(Outcome::decode(&bytes), Some(outcome));
        }

        #[test]
        fn anything_can_be_read(bytes: Vec<u8>) {
            let _ = Outcome::decode(&bytes);
        }
    }

    #[test]
    fn a_file_that_is_left_is_remembered_too() {
        let outcome = Outcome(Err(LeftFile::TrailingData));
        let bytes = outcome.encode().expect("JSON");
        assert_eq!(Outcome::decode(&bytes), Some(outcome));
        for wrong in [
            r#"{"Bound":{"counts":{"bound":1,"left":{}},"edits":[[0,"9"]]}}"#,
            r#"{"Bound":{"counts":{"bound":1,"left":{}},"edits":[[0,"zz"]]}}"#,
            r#"{"Left":"Unknown"}"#,
        ] {
            assert_eq!(Outcome::decode(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
