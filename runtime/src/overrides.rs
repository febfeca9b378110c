//! Overrides: requests that name versions for themselves.
//!
//! The header `isolith-override` is a structured-field dictionary (RFC 9651) from services to
//! versions, both of which must be deployed:
//! ```text
//! isolith-override: auth="2.1.0-rc.1", cart="1.0.2"
//! ```
//! Such a request gets the set that is solved with these versions, or an error; nothing is passed
//! over. The set has no other traffic. Shards cannot solve: they ask the thread that deploys, through
//! [`Overrides`].

use std::collections::BTreeMap;
use std::sync::Arc;

use isolith_versions::{Digest, ServiceName, Version, VersionSet};
use sfv::{BareItem, Dictionary, ListEntry, Parser};
use tokio::sync::{mpsc, oneshot};

use crate::deployment::Refused;

/// Services that one request may override.
const MAX_SERVICES: usize = 32;
/// Bytes of the header, all its lines together.
const MAX_HEADER_BYTES: usize = 4_096;
/// Requests of all shards that wait for the thread that deploys; more are refused.
const MAX_WAITING: usize = 256;

/// Services and the versions that a request wants of them.
pub(crate) type Versions = BTreeMap<ServiceName, Version>;

/// Asks for the sets of overrides, from any thread. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Overrides(mpsc::Sender<Asked>);

/// The other end of [`Overrides`].
pub(crate) struct OverrideQueue(mpsc::Receiver<Asked>);

/// A request that waits for its set.
pub(crate) struct Asked {
    pub(crate) versions: Versions,
    /// The set that the request would get without its override.
    pub(crate) base: Digest,
    reply: oneshot::Sender<Result<Arc<VersionSet>, Refused>>,
}

/// Why an override gets no set.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OverrideError {
    /// A version is not deployed, or there is no set with all of them.
    #[error("{0}")]
    Refused(#[from] Refused),
    /// The queue is full, or the process is stopping.
    #[error("too many requests wait for sets of their own; try again later")]
    Busy,
}

/// Both ends of a queue.
pub(crate) fn queue() -> (Overrides, OverrideQueue) {
    let (sender, receiver) = mpsc::channel(MAX_WAITING);
    (Overrides(sender), OverrideQueue(receiver))
}

impl Overrides {
    /// The set with these versions, and else like the one with the digest `base`, wired on every shard.
    ///
    /// # Cancel safety
    /// Dropping the future gives up waiting; the set is made ready all the same.
    pub(crate) async fn set_for(
        &self,
        versions: Versions,
        base: Digest,
    ) -> Result<Arc<VersionSet>, OverrideError> {
        let (reply, answer) = oneshot::channel();
        let asked = self.0.try_send(Asked {
            versions,
            base,
            reply,
        });
        asked.map_err(|_| OverrideError::Busy)?;
        Ok(answer.await.map_err(|_| OverrideError::Busy)??)
    }
}

impl OverrideQueue {
    /// The next request; `None` once all who could ask are gone.
    pub(crate) async fn next(&mut self) -> Option<Asked> {
        self.0.recv().await
    }
}

impl Asked {
    /// Answers it. The client may be gone by now.
    pub(crate) fn answer(self, set: Result<Arc<VersionSet>, Refused>) {
        let _ = self.reply.send(set);
    }
}

/// Reads the header's lines.
///
/// # Errors
/// What is wrong with it, for the client.
pub(crate) fn parse<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Result<Versions, String> {
    // RFC 9651, 4.2: the lines of a field are one, joined by commas.
    let text = lines.collect::<Vec<_>>().join(&b", "[..]);
    if text.len() > MAX_HEADER_BYTES {
        return Err(format!("it is longer than {MAX_HEADER_BYTES} bytes"));
    }
    let dictionary = Parser::new(&text).parse::<Dictionary>();
    let dictionary = dictionary.map_err(|error| {
        format!(
            "it is not a dictionary (RFC 9651): {error}; write service=\"1.2.3\", other=\"4.5.6\""
        )
    })?;
    if dictionary.is_empty() {
        return Err("it names no service: leave it out".to_owned());
    }
    if dictionary.len() > MAX_SERVICES {
        return Err(format!("it names more than {MAX_SERVICES} services"));
    }
    let mut versions = Versions::new();
    for (service, entry) in dictionary {
        let service = ServiceName::new(service.as_str()).map_err(|error| error.to_string())?;
        let version = match &entry {
            ListEntry::Item(item) => match &item.bare_item {
                BareItem::String(text) => text.as_str(),
                _ => {
                    return Err(format!(
                        "the version of {service} is not a string in quotes"
                    ));
                }
            },
            ListEntry::InnerList(_) => {
                return Err(format!("{service} has a list of versions: name one"));
            }
        };
        let version = Version::parse(version)
            .map_err(|error| format!("`{version}` is not a version of {service}: {error}"))?;
        versions.insert(service, version);
    }
    Ok(versions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(lines: &[&str]) -> Result<String, String> {
        let versions = parse(lines.iter().map(|line| line.as_bytes()))?;
        let texts = versions
            .iter()
            .map(|(service, version)| format!("{service}@{version}"));
        Ok(texts.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn versions_by_service() {
        let both = Ok("auth@2.1.0-rc.1 cart@1.0.2".to_owned());
        assert_eq!(parsed(&["auth=\"2.1.0-rc.1\", cart=\"1.0.2\""]), both);
        assert_eq!(
            parsed(&["cart=\"1.0.2\";why=test", "auth=\"2.1.0-rc.1\""]),
            both
        );
        // As the standard has it, the last one counts.
        assert_eq!(
            parsed(&["auth=\"1.0.0\", auth=\"2.0.0\""]),
            Ok("auth@2.0.0".into())
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        let many: String = (0..33).map(|n| format!("s{n}=\"1.0.0\",")).collect();
        let cases = [
            ("", "names no service"),
            ("auth", "not a string in quotes"),
            ("auth=2.1", "not a string in quotes"),
            ("auth=\"2.1\"", "`2.1` is not a version of auth"),
            ("auth=(\"1.0.0\" \"2.0.0\")", "has a list of versions"),
            ("auth=\"1.0.0\",", "not a dictionary"),
            ("Auth=\"1.0.0\"", "not a dictionary"),
            ("auth=\"1.0.0", "not a dictionary"),
            ("auth=\"\u{e9}\"", "not a dictionary"),
            ("*=\"1.0.0\"", "service name"),
            (many.trim_end_matches(','), "more than 32"),
        ];
        for (header, expected) in cases {
            let error = parsed(&[header]).unwrap_err();
            assert!(error.contains(expected), "{header}: {error}");
        }
        let long = format!("auth=\"{}\"", "1".repeat(5_000));
        assert!(parsed(&[&long]).unwrap_err().contains("4096 bytes"));
    }
}
