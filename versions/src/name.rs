//! Names of services.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The name that callers ask for, such as `auth` or `user-profile`.
///
/// 1 to [`ServiceName::MAX_BYTES`] bytes: lower-case ASCII letters, digits and dashes, beginning
/// with a letter and ending with a letter or a digit, so that a name can stand in a path, a host
/// name and a metric label alike. Cloning copies a pointer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName(Arc<str>);

/// Why a text is not a [`ServiceName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("a service name is empty: write at least one lower-case letter, such as `auth`")]
    Empty,
    /// The text is longer than [`ServiceName::MAX_BYTES`].
    #[error(
        "the service name `{start}...` has {bytes} bytes, but {} is the most: shorten it",
        ServiceName::MAX_BYTES
    )]
    TooLong {
        /// The beginning of the text.
        start: String,
        /// Its length in bytes.
        bytes: usize,
    },
    /// A character that names do not have.
    #[error(
        "the service name `{name}` has {found:?} at position {position}: use lower-case letters, \
         digits and dashes, begin with a letter and do not end with a dash"
    )]
    Character {
        /// The text.
        name: String,
        /// The first offending character.
        found: char,
        /// Where it stands, counted in characters from 1.
        position: usize,
    },
}

impl ServiceName {
    /// The longest name, in bytes: that of a DNS label.
    pub const MAX_BYTES: usize = 63;

    /// Checks `name` and keeps it.
    ///
    /// # Errors
    /// [`NameError`] when the text breaks the rules of [`ServiceName`].
    pub fn new(name: &str) -> Result<Self, NameError> {
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.len() > Self::MAX_BYTES {
            return Err(NameError::TooLong {
                start: name.chars().take(20).collect(),
                bytes: name.len(),
            });
        }
        let last = name.chars().count() - 1;
        for (index, found) in name.chars().enumerate() {
            let allowed = match found {
                'a'..='z' => true,
                '0'..='9' => index > 0,
                '-' => index > 0 && index < last,
                _ => false,
            };
            if !allowed {
                return Err(NameError::Character {
                    name: name.to_owned(),
                    found,
                    position: index + 1,
                });
            }
        }
        Ok(Self(name.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServiceName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        Self::new(name)
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl AsRef<str> for ServiceName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for ServiceName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules() {
        for good in ["a", "auth", "user-profile-2", &"a".repeat(63)] {
            assert_eq!(ServiceName::new(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "-a",
            "a-",
            "1a",
            "Auth",
            "a_b",
            "a b",
            "ä",
            &"a".repeat(64),
        ] {
            assert!(ServiceName::new(bad).is_err(), "{bad:?} was taken");
        }
        assert_eq!(
            ServiceName::new("user_profile").unwrap_err().to_string(),
            "the service name `user_profile` has '_' at position 5: use lower-case letters, digits \
             and dashes, begin with a letter and do not end with a dash"
        );
    }
}
