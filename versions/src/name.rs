//! Names of services and rollouts.

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

/// What a rollout is called, such as `auth-2`. The rules are those of [`ServiceName`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RolloutName(Arc<str>);

/// Why a text is not a [`ServiceName`] or a [`RolloutName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("a {kind} name is empty: write at least one lower-case letter, such as `auth`")]
    Empty {
        /// What the name is of.
        kind: &'static str,
    },
    /// The text is longer than [`ServiceName::MAX_BYTES`].
    #[error(
        "the {kind} name `{start}...` has {bytes} bytes, but {} is the most: shorten it",
        ServiceName::MAX_BYTES
    )]
    TooLong {
        /// What the name is of.
        kind: &'static str,
        /// The beginning of the text.
        start: String,
        /// Its length in bytes.
        bytes: usize,
    },
    /// A character that names do not have.
    #[error(
        "the {kind} name `{name}` has {found:?} at position {position}: use lower-case letters, \
         digits and dashes, begin with a letter and do not end with a dash"
    )]
    Character {
        /// What the name is of.
        kind: &'static str,
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
}

/// What the two kinds of names have in common.
macro_rules! name {
    ($name:ident, $kind:literal) => {
        impl $name {
            /// Checks `name` and keeps it.
            ///
            /// # Errors
            /// [`NameError`] when the text breaks the rules of [`ServiceName`].
            pub fn new(name: &str) -> Result<Self, NameError> {
                check($kind, name).map(|()| Self(name.into()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(name: &str) -> Result<Self, NameError> {
                Self::new(name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        crate::text::serde_as_text!($name);
    };
}

name!(ServiceName, "service");
name!(RolloutName, "rollout");

fn check(kind: &'static str, name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty { kind });
    }
    if name.len() > ServiceName::MAX_BYTES {
        return Err(NameError::TooLong {
            kind,
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
                kind,
                name: name.to_owned(),
                found,
                position: index + 1,
            });
        }
    }
    Ok(())
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
