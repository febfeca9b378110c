//! npm's tarballs: checked against an integrity hash, unpacked within bounds.

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;
use ssri::{Algorithm, Integrity};

/// The largest tarball, in bytes.
pub(crate) const MAX_TARBALL_BYTES: u64 = 256 * 1024 * 1024;
/// The most that one tarball may unpack to, in bytes.
const MAX_UNPACKED_BYTES: u64 = 1024 * 1024 * 1024;
/// The most files that one tarball may hold.
const MAX_TARBALL_FILES: usize = 200_000;

/// Reads a lock file's integrity value; weak or malformed ones are refused.
pub(crate) fn parse_integrity(text: &str) -> Result<Integrity, String> {
    let integrity: Integrity = text
        .parse()
        .map_err(|_| format!("`{text}` is not an integrity hash"))?;
    let strongest = integrity
        .hashes
        .first()
        .ok_or("the integrity hash is empty")?;
    let known = matches!(
        strongest.algorithm,
        Algorithm::Sha512 | Algorithm::Sha384 | Algorithm::Sha256 | Algorithm::Sha1
    );
    let base64 = |c: u8| c.is_ascii_alphanumeric() || b"+/=".contains(&c);
    match known && !strongest.digest.is_empty() && strongest.digest.bytes().all(base64) {
        true => Ok(integrity),
        false => Err(format!("`{text}` is not an integrity hash that npm writes")),
    }
}

/// A file name for what has this hash.
pub(crate) fn cache_name(integrity: &Integrity) -> PathBuf {
    let strongest = integrity.hashes.first();
    strongest.map_or_else(PathBuf::new, |hash| {
        Path::new(&hash.algorithm.to_string()).join(
            hash.digest
                .replace('/', "_")
                .replace('+', "-")
                .replace('=', ""),
        )
    })
}

/// Unpacks a package's tarball into `target`, a folder that is made.
///
/// Like npm it leaves out the outermost folder and everything that is neither file nor folder;
/// modes and owners are not kept.
pub(crate) fn unpack(tarball: &[u8], target: &Path) -> Result<(), String> {
    fs::create_dir_all(target).map_err(|error| error.to_string())?;
    each_file(tarball, &mut |path, content| {
        let path = target.join(path);
        let written = path
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::File::create(&path))
            .and_then(|mut file| std::io::copy(content, &mut file));
        written
            .map(|_| ())
            .map_err(|error| format!("{}: {error}", path.display()))
    })
}

/// The first of `files`, which lie in `folder`, whose content is not that of the tarball.
pub(crate) fn altered(
    tarball: &[u8],
    folder: &Path,
    files: &[PathBuf],
) -> Result<Option<PathBuf>, String> {
    let mut wanted: HashMap<&Path, bool> = files
        .iter()
        .filter_map(|file| Some((file.strip_prefix(folder).ok()?, false)))
        .collect();
    each_file(tarball, &mut |path, content| {
        if let Some(same) = wanted.get_mut(path) {
            let mut packed = Vec::new();
            content
                .read_to_end(&mut packed)
                .map_err(|error| error.to_string())?;
            *same = fs::read(folder.join(path)).is_ok_and(|installed| installed == packed);
        }
        Ok(())
    })?;
    Ok(wanted
        .into_iter()
        .filter(|(_, same)| !same)
        .map(|(path, _)| folder.join(path))
        .min())
}

type Visit<'a> = &'a mut dyn FnMut(&Path, &mut dyn Read) -> Result<(), String>;

/// Shows each regular file, its path without the outermost folder.
fn each_file(tarball: &[u8], visit: Visit<'_>) -> Result<(), String> {
    let limited = MultiGzDecoder::new(tarball).take(MAX_UNPACKED_BYTES);
    let mut archive = tar::Archive::new(limited);
    let broken = |error: std::io::Error| format!("is broken, or too large: {error}");
    for (index, entry) in archive.entries().map_err(broken)?.enumerate() {
        if index >= MAX_TARBALL_FILES {
            return Err(format!("holds more than {MAX_TARBALL_FILES} files"));
        }
        let mut entry = entry.map_err(broken)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path().map_err(broken)?.into_owned();
        let mut parts = Vec::new();
        for part in path.components() {
            match part {
                Component::Normal(part) => parts.push(part),
                Component::CurDir => {}
                _ => return Err(format!("has a file outside of itself: {}", path.display())),
            }
        }
        let inside: PathBuf = parts.into_iter().skip(1).collect();
        if inside.as_os_str().is_empty() {
            return Err(format!(
                "has a file outside of its folder: {}",
                path.display()
            ));
        }
        visit(&inside, &mut entry)?;
    }
    Ok(())
}
