//! Versions of the CNI specification.

use serde::{Deserialize, Serialize};

/// Versions of the specification that are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Version {
    /// 0.1.0, which a configuration without a version has.
    #[serde(rename = "0.1.0")]
    V0_1_0,
    /// 0.2.0: as 0.1.0, with VERSION.
    #[serde(rename = "0.2.0")]
    V0_2_0,
    /// 0.3.0: chains, results with interfaces.
    #[serde(rename = "0.3.0")]
    V0_3_0,
    /// 0.3.1.
    #[serde(rename = "0.3.1")]
    V0_3_1,
    /// 0.4.0: CHECK, and the result of ADD is given to DEL.
    #[serde(rename = "0.4.0")]
    V0_4_0,
    /// 1.0.0: lists only.
    #[serde(rename = "1.0.0")]
    V1_0_0,
    /// 1.1.0: STATUS and GC, several versions in one configuration.
    #[serde(rename = "1.1.0")]
    V1_1_0,
}

/// Each with its text, oldest first.
const ALL: [(&str, Version); 7] = [
    ("0.1.0", Version::V0_1_0),
    ("0.2.0", Version::V0_2_0),
    ("0.3.0", Version::V0_3_0),
    ("0.3.1", Version::V0_3_1),
    ("0.4.0", Version::V0_4_0),
    ("1.0.0", Version::V1_0_0),
    ("1.1.0", Version::V1_1_0),
];

impl Version {
    /// Reads its text; none for one that is not spoken. No text at all is 0.1.0.
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::V0_1_0);
        }
        ALL.iter()
            .find(|(known, _)| *known == text)
            .map(|(_, version)| *version)
    }

    /// Its text.
    pub fn as_str(self) -> &'static str {
        ALL.iter()
            .find(|(_, known)| *known == self)
            .map_or("0.1.0", |(text, _)| text)
    }

    /// Whether results are of the form of before 0.3.0 (`ip4`, `ip6`).
    pub fn has_old_results(self) -> bool {
        self < Self::V0_3_0
    }

    /// Whether an address in a result says `"version": "4"`.
    pub fn has_family_in_results(self) -> bool {
        (Self::V0_3_0..Self::V1_0_0).contains(&self)
    }

    /// Whether plugins know CHECK, and DEL is given the result of ADD.
    pub fn has_check(self) -> bool {
        self >= Self::V0_4_0
    }

    /// Whether plugins know STATUS.
    pub fn has_status(self) -> bool {
        self >= Self::V1_1_0
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}
