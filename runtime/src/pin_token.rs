//! The pin token: what a response says about its version set, so that a later request can ask for
//! the same one (P7).
//!
//! A token is 73 bytes in unpadded base64url, which the header `isolith-pin` carries each way:
//! ```text
//!  1  format: 1
//! 32  the digest of the version set
//!  8  when it expires: milliseconds since 1970, big-endian
//! 32  HMAC-SHA256 of the 41 bytes before
//! ```
//! It is signed, so that a client can ask for a set that it was given and for no other. It holds no
//! lease: a set goes when nothing runs on it any more, and a token for it is then answered with
//! `pinned-version-gone`. A request that was pinned by a token gets that token back and no new
//! one, so that no chain of tokens keeps a drain going.

use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use isolith_versions::Digest;
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};

const FORMAT: u8 = 1;
const KEY_BYTES: usize = 32;
const SIGNED_BYTES: usize = 1 + 32 + 8;
const TOKEN_BYTES: usize = SIGNED_BYTES + 32;

/// Signs pin tokens and checks them. One for each data directory.
pub(crate) struct PinKey(hmac::Key);

/// Why a pin token is not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    /// Not a token at all, or one of another deployment, or changed on its way.
    #[error(
        "the isolith-pin header is not a token that this server signed: send back what a response \
         carried, unchanged, or leave the header out"
    )]
    Forged,
    /// It was good for a time that is over.
    #[error(
        "the token in the isolith-pin header expired {seconds} s ago: leave the header out to be \
         given the versions of now"
    )]
    Expired { seconds: u64 },
}

impl PinKey {
    /// The key in `file`, which is made, for its owner's eyes only, if it is not there.
    ///
    /// # Errors
    /// If the file cannot be read or made, is damaged, or can be read by others.
    pub(crate) fn open(file: &Path) -> io::Result<Self> {
        let mut key = [0; KEY_BYTES];
        match File::open(file) {
            Ok(opened) => read_key(opened, &mut key),
            Err(error) if error.kind() == io::ErrorKind::NotFound => make_key(file, &mut key),
            Err(error) => Err(error),
        }
        .map_err(|error| {
            let text = format!("the key of pin tokens, {}: {error}", file.display());
            io::Error::new(error.kind(), text)
        })?;
        Ok(PinKey(hmac::Key::new(hmac::HMAC_SHA256, &key)))
    }

    /// A token for `set` that is good until `expires`. Less than a microsecond.
    pub(crate) fn sign(&self, set: Digest, expires: SystemTime) -> String {
        let mut token = Vec::with_capacity(TOKEN_BYTES);
        token.push(FORMAT);
        token.extend_from_slice(&set.0);
        token.extend_from_slice(&since_1970_ms(expires).to_be_bytes());
        let tag = hmac::sign(&self.0, &token);
        token.extend_from_slice(tag.as_ref());
        URL_SAFE_NO_PAD.encode(token)
    }

    /// The set that a token names.
    ///
    /// # Errors
    /// If this key did not sign it, or its time is over. A wrong signature is found in constant
    /// time, and before anything else.
    pub(crate) fn read(&self, token: &[u8], now: SystemTime) -> Result<Digest, TokenError> {
        let bytes = URL_SAFE_NO_PAD.decode(token);
        let bytes = bytes.map_err(|_| TokenError::Forged)?;
        let (signed, tag) = bytes
            .split_at_checked(SIGNED_BYTES)
            .ok_or(TokenError::Forged)?;
        hmac::verify(&self.0, signed, tag).map_err(|_| TokenError::Forged)?;
        let (format, rest) = signed.split_first().ok_or(TokenError::Forged)?;
        let (set, expires) = rest.split_first_chunk().ok_or(TokenError::Forged)?;
        let expires = <[u8; 8]>::try_from(expires).map_err(|_| TokenError::Forged)?;
        if *format != FORMAT {
            return Err(TokenError::Forged);
        }
        match since_1970_ms(now).checked_sub(u64::from_be_bytes(expires)) {
            None => Ok(Digest(*set)),
            Some(late_ms) => Err(TokenError::Expired {
                seconds: late_ms.div_ceil(1000),
            }),
        }
    }
}

fn since_1970_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn read_key(mut file: File, key: &mut [u8; KEY_BYTES]) -> io::Result<()> {
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        return Err(io::Error::other(
            "others may read it, and could sign tokens then: remove it, and a new one is made",
        ));
    }
    let mut rest = [0; 1];
    let whole = file.read_exact(key).is_ok() && file.read(&mut rest)? == 0;
    match whole {
        true => Ok(()),
        false => Err(io::Error::other(format!(
            "it has not {KEY_BYTES} bytes: remove it, and a new one is made"
        ))),
    }
}

/// Written beside its place and then moved there, so that no half of a key is ever found.
fn make_key(file: &Path, key: &mut [u8; KEY_BYTES]) -> io::Result<()> {
    let random = SystemRandom::new().fill(key);
    random.map_err(|_| io::Error::other("the system gives no random bytes"))?;
    let beside = file.with_extension("new");
    let mut new = File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&beside)?;
    new.set_permissions(Permissions::from_mode(0o600))?;
    new.write_all(key)?;
    new.sync_all()?;
    fs::rename(&beside, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> (tempfile::TempDir, PinKey) {
        let dir = tempfile::tempdir().unwrap();
        let key = PinKey::open(&dir.path().join("pin.key")).unwrap();
        (dir, key)
    }

    #[test]
    fn a_token_names_its_set_until_it_expires() {
        let (dir, key) = key();
        let (set, now) = (Digest::of(b"set"), SystemTime::now());
        let token = key.sign(set, now + Duration::from_millis(1));
        assert_eq!(key.read(token.as_bytes(), now), Ok(set));
        for (late_ms, seconds) in [(1, 0), (2, 1), (5_001, 5)] {
            let later = now + Duration::from_millis(late_ms);
            let error = key.read(token.as_bytes(), later);
            assert_eq!(error, Err(TokenError::Expired { seconds }));
        }
        // What a restarted process reads is the same key.
        let again = PinKey::open(&dir.path().join("pin.key")).unwrap();
        assert_eq!(again.read(token.as_bytes(), now), Ok(set));
    }

    #[test]
    fn what_this_key_did_not_sign_is_refused() {
        let (_dir, key) = key();
        let (_other_dir, other) = self::key();
        let now = SystemTime::now();
        let set = Digest::of(b"set");
        let until = now + Duration::from_secs(60);
        let token = URL_SAFE_NO_PAD.decode(key.sign(set, until)).unwrap();
        let read = |bytes: &[u8]| key.read(URL_SAFE_NO_PAD.encode(bytes).as_bytes(), now);
        assert_eq!(read(&token), Ok(set));
        for place in 0..token.len() {
            let mut changed = token.clone();
            changed[place] ^= 1;
            assert_eq!(read(&changed), Err(TokenError::Forged), "byte {place}");
            assert_eq!(read(&token[..place]), Err(TokenError::Forged));
        }
        assert_eq!(read(&[&token[..], &[0]].concat()), Err(TokenError::Forged));
        let foreign = other.sign(set, until);
        assert_eq!(key.read(foreign.as_bytes(), now), Err(TokenError::Forged));
        for text in ["", "?", "a", "AAAA====", "\u{fffd}"] {
            assert_eq!(key.read(text.as_bytes(), now), Err(TokenError::Forged));
        }
        // Signed by this key, and of another format.
        let mut signed = token[..SIGNED_BYTES].to_vec();
        signed[0] = 2;
        let tag = hmac::sign(&key.0, &signed);
        signed.extend_from_slice(tag.as_ref());
        assert_eq!(read(&signed), Err(TokenError::Forged));
    }

    #[test]
    fn the_key_is_its_owners_alone() {
        let (dir, _) = key();
        let file = dir.path().join("pin.key");
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);

        let error = |file: &Path| PinKey::open(file).map(|_| ()).unwrap_err().to_string();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        assert!(error(&file).contains("others may read it"));
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        for bytes in [&[0; 31][..], &[0; 33]] {
            fs::write(&file, bytes).unwrap();
            assert!(error(&file).contains("it has not 32 bytes"));
        }
        assert!(error(dir.path()).contains("pin tokens"));
    }
}
