//! The bundle file: written by a build, read by whoever loads, prints or stores it.
//!
//! A file is a Cap'n Proto message with root `Envelope`, whose `content` is a message of its own
//! with root `Bundle` (capnp/schema/bundle.capnp). Reading checks everything once: the envelope is
//! built again from its fields and compared byte by byte, the digest is that of the content, and
//! every name, version and range in it is valid. After that nothing can fail, and source texts and
//! schemas are slices of the file's bytes.
//!
//! The bytes are read into memory rather than mapped: a digest needs every one of them anyway, and
//! a file that somebody changes afterwards must not change a checked bundle.

mod content;
mod signature;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use capnp::Word;
use capnp::message::{self, ReaderOptions, SegmentArray};
use isolith_capnp::bundle_capnp::envelope;
use isolith_versions::{BundleFacts, BundleId, Digest};

pub use signature::{SignatureError, Signer, SigningKey, Trust};

pub use content::{Content, ExportContent, ImportContent, ModuleContent};

use crate::lock::Dependency;
use crate::manifest::Limits;
use crate::origin::OriginRule;

/// The ending of bundle files, without the dot.
pub const BUNDLE_EXTENSION: &str = "isolith";

/// The only format there is. A reader refuses what it does not know.
pub const FORMAT_VERSION: u16 = 1;

/// The largest bundle file that is written or read, in bytes.
pub const MAX_BUNDLE_BYTES: usize = 128 * 1024 * 1024;

/// A checked bundle. Cloning is cheap.
#[derive(Clone)]
pub struct Bundle(Arc<Checked>);

/// A module of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Module<'b> {
    /// What an import names it by: `main.js`.
    pub specifier: &'b str,
    /// ECMAScript.
    pub source: &'b str,
    /// A source map, version 3, as JSON; empty if there is none.
    pub source_map: &'b str,
}

/// Why bytes are not a bundle. Says nothing of the file, which the caller knows.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// More than [`MAX_BUNDLE_BYTES`].
    #[error(
        "the bundle has more than {} MiB: import less into the service, or split it",
        MAX_BUNDLE_BYTES >> 20
    )]
    TooLarge,
    /// The file ends too early.
    #[error("the file is truncated: it has {found} bytes of {expected}; copy or build it again")]
    Truncated {
        /// Bytes that there are.
        found: usize,
        /// Bytes that the file says it has.
        expected: usize,
    },
    /// The file is not what was written.
    #[error("the file is corrupt, or not a bundle: {0}; copy or build it again")]
    Corrupt(String),
    /// Written by another version of Isolith.
    #[error(
        "the bundle has format version {0}, but only {FORMAT_VERSION} is known here: build it with \
         this version of isolith, or load it with a newer one"
    )]
    UnknownFormat(u16),
    /// The file is whole, but what it says makes no sense.
    #[error("the bundle is invalid: {0}; build it with `isolith build`")]
    Invalid(String),
}

struct Checked {
    /// The file.
    words: Vec<Word>,
    facts: Arc<BundleFacts>,
    exports: Vec<ExportContent>,
    imports: Vec<ImportContent>,
    fetches: Vec<(String, Vec<OriginRule>)>,
    vars: BTreeMap<String, Option<String>>,
    secrets: BTreeSet<String>,
    limits: Limits,
    dependencies: Vec<Dependency>,
    /// Where in the file the modules' three texts are; all of them are UTF-8.
    modules: Vec<[Range<usize>; 3]>,
    schema: Range<usize>,
    /// The content message in the file.
    content: Range<usize>,
    signer: Option<Signer>,
}

impl Bundle {
    /// Reads and checks a file.
    ///
    /// Cost: one pass for the digest, one copy for the comparison.
    ///
    /// # Errors
    /// [`BundleError`] for whatever is not exactly what a build wrote.
    pub fn open(path: &Path) -> Result<Self, BundleError> {
        let fail = |source| BundleError::Io {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(fail)?;
        let mut bytes = Vec::new();
        file.take(MAX_BUNDLE_BYTES as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(fail)?;
        Self::read(&bytes)
    }

    /// Checks the bytes of a file and keeps a copy of them.
    ///
    /// # Errors
    /// [`BundleError`] for whatever is not exactly what a build wrote. Never panics.
    pub fn read(bytes: &[u8]) -> Result<Self, BundleError> {
        if bytes.len() > MAX_BUNDLE_BYTES {
            return Err(BundleError::TooLarge);
        }
        // Cap'n Proto reads words in place, so they must lie at multiples of eight.
        let mut words = Word::allocate_zeroed_vec(bytes.len().div_ceil(8));
        if let Some(target) = Word::words_to_bytes_mut(&mut words).get_mut(..bytes.len()) {
            target.copy_from_slice(bytes);
        }
        let checked = check(bytes.len(), &words)?;
        Ok(Self(Arc::new(Checked { words, ..checked })))
    }

    /// The digest that names the bundle.
    pub fn digest(&self) -> Digest {
        self.0.facts.id.digest
    }

    /// Service, version and digest.
    pub fn id(&self) -> &BundleId {
        &self.0.facts.id
    }

    /// What the solver needs to know.
    pub fn facts(&self) -> &Arc<BundleFacts> {
        &self.0.facts
    }

    /// Whether the main module has a default export, which handles HTTP.
    pub fn http(&self) -> bool {
        self.0.facts.http
    }

    /// Whether its code is part of the process that serves it, in place of modules.
    pub fn native(&self) -> bool {
        self.0.facts.native
    }

    /// The modules; the first one is the main module. Only a native bundle has none.
    pub fn modules(&self) -> impl ExactSizeIterator<Item = Module<'_>> {
        self.0
            .modules
            .iter()
            .map(|[specifier, source, source_map]| Module {
                specifier: self.text(specifier),
                source: self.text(source),
                source_map: self.text(source_map),
            })
    }

    /// What the service serves, by name.
    pub fn exports(&self) -> &[ExportContent] {
        &self.0.exports
    }

    /// What the service asks for, by name.
    pub fn imports(&self) -> &[ImportContent] {
        &self.0.imports
    }

    /// Strings on `env`: the default, or `None` where the application must give a value.
    pub fn vars(&self) -> &BTreeMap<String, Option<String>> {
        &self.0.vars
    }

    /// Bindings for outbound requests, by name, and where those may go.
    pub fn fetches(&self) -> &[(String, Vec<OriginRule>)] {
        &self.0.fetches
    }

    /// Strings on `env` that the application must give from where it keeps secrets.
    pub fn secrets(&self) -> &BTreeSet<String> {
        &self.0.secrets
    }

    /// Bounds on what the bundle may use.
    pub fn limits(&self) -> Limits {
        self.0.limits
    }

    /// All interfaces of the bundle, a `CodeGeneratorRequest` message with its segment table,
    /// aligned to words; empty if the bundle has none.
    pub fn schema(&self) -> &[u8] {
        self.bytes(&self.0.schema)
    }

    /// The npm packages that are part of the modules, by name, then version.
    pub fn dependencies(&self) -> &[Dependency] {
        &self.0.dependencies
    }

    /// Who signed the file, if anybody did. The signature fits; see [`Trust`] for what it is worth.
    pub fn signer(&self) -> Option<Signer> {
        self.0.signer
    }

    /// The content message, which the digest is of.
    fn content(&self) -> &[u8] {
        self.bytes(&self.0.content)
    }

    /// The whole file.
    pub fn file_bytes(&self) -> &[u8] {
        Word::words_to_bytes(&self.0.words)
    }

    fn bytes(&self, range: &Range<usize>) -> &[u8] {
        self.file_bytes().get(range.clone()).unwrap_or_default()
    }

    fn text(&self, range: &Range<usize>) -> &str {
        std::str::from_utf8(self.bytes(range)).unwrap_or_default()
    }
}

impl fmt::Debug for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bundle({} {})", self.id(), self.digest().short())
    }
}

/// The file around a content message.
fn seal(
    content: &[u8],
    digest: Digest,
    signature: &[u8],
    signer: &[u8],
) -> Result<Vec<u8>, BundleError> {
    let mut message = message::Builder::new_default();
    let mut root = message.init_root::<envelope::Builder<'_>>();
    root.set_content(content);
    root.set_digest(&digest.0);
    root.set_signature(signature);
    root.set_signer(signer);
    canonical(message)
}

/// A message in its only canonical form: one segment, after its table.
fn canonical(message: message::Builder<message::HeapAllocator>) -> Result<Vec<u8>, BundleError> {
    if message.size_in_words() * 8 > MAX_BUNDLE_BYTES {
        return Err(BundleError::TooLarge);
    }
    let words = message.into_reader().canonicalize().map_err(corrupt)?;
    let length = u32::try_from(words.len()).map_err(|_| BundleError::TooLarge)?;
    let mut bytes = Vec::with_capacity(8 + words.len() * 8);
    bytes.extend_from_slice(&0_u32.to_le_bytes());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(Word::words_to_bytes(&words));
    Ok(bytes)
}

/// The only segment of a message, without its table.
fn segment(message: &[u8]) -> Result<&[u8], BundleError> {
    let table = message.first_chunk::<8>().ok_or(BundleError::Truncated {
        found: message.len(),
        expected: 8,
    })?;
    let [a, b, c, d, length @ ..] = *table;
    if u32::from_le_bytes([a, b, c, d]) != 0 {
        return Err(BundleError::Corrupt(
            "it does not begin as one does".to_owned(),
        ));
    }
    let expected = 8 + u32::from_le_bytes(length) as usize * 8;
    match message.len().cmp(&expected) {
        std::cmp::Ordering::Less => Err(BundleError::Truncated {
            found: message.len(),
            expected,
        }),
        std::cmp::Ordering::Greater => {
            let message = format!("it has {} bytes too many", message.len() - expected);
            Err(BundleError::Corrupt(message))
        }
        std::cmp::Ordering::Equal => Ok(message.get(8..).unwrap_or_default()),
    }
}

/// Limits for reading a message of so many bytes: each word a few times over, no deep nesting.
fn reader_options(bytes: usize) -> ReaderOptions {
    let mut options = ReaderOptions::new();
    options
        .traversal_limit_in_words(Some(bytes + 1024))
        .nesting_limit(16);
    options
}

/// Checks a file of `length` bytes; the words are left to the caller.
fn check(length: usize, words: &[Word]) -> Result<Checked, BundleError> {
    let file = Word::words_to_bytes(words)
        .get(..length)
        .unwrap_or_default();
    let outer = segment(file)?;
    let segments = [outer];
    let message = message::Reader::new(SegmentArray::new(&segments), reader_options(length));
    let root = message
        .get_root::<envelope::Reader<'_>>()
        .map_err(corrupt)?;
    let content = root.get_content().map_err(corrupt)?;
    let digest = root.get_digest().map_err(corrupt)?;
    let signature = root.get_signature().map_err(corrupt)?;
    let signer = root.get_signer().map_err(corrupt)?;

    let named = Digest(
        digest
            .try_into()
            .map_err(|_| BundleError::Corrupt("no digest".into()))?,
    );
    if Digest::of(content) != named {
        let message = format!("its digest is not {}, which it carries", named.short());
        return Err(BundleError::Corrupt(message));
    }
    if seal(content, named, signature, signer)? != file {
        return Err(BundleError::Corrupt("it has stray bytes".to_owned()));
    }
    let signer = signature::check(named, signature, signer)?;
    content::check(file, content, named, signer)
}

/// Where `part` lies in `whole`, of which it is a slice.
fn range_in(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
    if start > whole.len() {
        0..0
    } else {
        start..start + part.len()
    }
}

fn corrupt(error: capnp::Error) -> BundleError {
    BundleError::Corrupt(error.to_string())
}

#[cfg(test)]
mod tests;
