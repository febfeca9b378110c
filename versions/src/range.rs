//! Ranges of versions.

use std::fmt;
use std::str::FromStr;

use semver::{Version, VersionReq};

/// The versions that an import accepts, in Cargo's notation.
///
/// `2.1` and `^2.1` mean at least 2.1.0 and below 3.0.0; `~2.1` below 2.2.0; `=2.1.3` that version
/// alone; `>=1.4, <3` both at once; `*` any version. A pre-release such as `2.0.0-rc.1` is accepted
/// only where the range names a pre-release of the same `2.0.0`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Range(VersionReq);

/// The text is not a [`Range`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// npm's `||`, which is not supported.
    #[error(
        "the version range `{text}` uses `||`, which is not supported: write one interval, such as \
         `>=1.4, <3` for everything from 1.4.0 up to 3.0.0"
    )]
    Alternatives {
        /// The text.
        text: String,
    },
    /// Anything else.
    #[error(
        "the version range `{text}` cannot be read ({reason}): write it as `^2.1`, `~2.1`, `=2.1.3` \
         or `>=1.4, <3`, with a comma between conditions"
    )]
    Syntax {
        /// The text.
        text: String,
        /// What the parser found.
        reason: String,
    },
}

impl Range {
    /// Reads a range.
    ///
    /// # Errors
    /// [`RangeError`] for what is not a range, and for `||`.
    pub fn new(text: &str) -> Result<Self, RangeError> {
        if text.contains("||") {
            return Err(RangeError::Alternatives {
                text: text.to_owned(),
            });
        }
        VersionReq::parse(text)
            .map(Self)
            .map_err(|error| RangeError::Syntax {
                text: text.to_owned(),
                reason: error.to_string(),
            })
    }

    /// The range `*`: every version that is not a pre-release.
    pub fn any() -> Self {
        Self(VersionReq::STAR)
    }

    /// Whether `version` lies in the range.
    pub fn contains(&self, version: &Version) -> bool {
        self.0.matches(version)
    }
}

impl FromStr for Range {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        Self::new(text)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

crate::text::serde_as_text!(Range);

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(range: &str, version: &str) -> bool {
        Range::new(range)
            .unwrap()
            .contains(&Version::parse(version).unwrap())
    }

    #[test]
    fn ranges_mean_what_cargo_means() {
        assert!(accepts("2.1", "2.9.0") && !accepts("2.1", "3.0.0"));
        assert!(accepts("^0.3", "0.3.9") && !accepts("^0.3", "0.4.0"));
        assert!(accepts(">=1.4, <3", "2.0.0") && !accepts(">=1.4, <3", "3.0.0"));
        assert!(!accepts("*", "2.0.0-rc.1") && !accepts("^1", "2.0.0-rc.1"));
        assert!(accepts("^2.0.0-rc.1", "2.0.0-rc.2") && accepts("^2.0.0-rc.1", "2.4.0"));
        assert!(!accepts("^2.0.0-rc.1", "2.1.0-rc.1"));
    }

    #[test]
    fn what_is_not_a_range_says_how_to_write_one() {
        let alternatives = Range::new("^1 || ^2").unwrap_err().to_string();
        assert!(
            alternatives.contains("`||`, which is not supported"),
            "{alternatives}"
        );
        let spaces = Range::new(">=1 <2").unwrap_err().to_string();
        assert!(
            spaces.contains("`>=1 <2`") && spaces.contains("with a comma"),
            "{spaces}"
        );
    }
}
