//! Signatures of bundles: Ed25519 over the digest, with the signer's public key beside it.
//!
//! A signature says who vouches for a bundle; whether that is anybody of importance is for
//! [`Trust`] to say. One that does not fit its key makes the file corrupt.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use isolith_versions::Digest;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use super::{Bundle, BundleError, seal};

/// What is signed is this and the digest, so that a signature of something else never fits.
const CONTEXT: &[u8] = b"isolith bundle v1\0";

/// Who signs: an Ed25519 public key, written `ed25519:` and 64 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signer(pub [u8; 32]);

/// Whose bundles are taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// Known signers.
    pub keys: Vec<Signer>,
    /// Whether a bundle must be signed by one of them.
    pub required: bool,
}

/// A private key.
pub struct SigningKey(Ed25519KeyPair);

/// Why a bundle cannot be signed, or is not taken.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// The key file is not one.
    #[error(
        "the key is not an Ed25519 private key in PEM (PKCS #8): make one with \
         `openssl genpkey -algorithm ed25519 -out key.pem`"
    )]
    NotAKey,
    /// A text that should name a signer.
    #[error(
        "`{0}` is not a public key: write `ed25519:` and 64 hex digits, as `isolith sign` prints"
    )]
    NotASigner(String),
    /// The bundle has no signature, and one is required.
    #[error(
        "{0} is not signed, and [trust] requires it: sign it with `isolith sign FILE --key KEY.pem`"
    )]
    Unsigned(String),
    /// Signed by somebody unknown.
    #[error("{bundle} is signed by {signer}, which is none of the keys under [trust]")]
    Untrusted {
        /// `service@version`
        bundle: String,
        /// Who signed it.
        signer: Signer,
    },
    /// The signed file is too large.
    #[error(transparent)]
    Bundle(#[from] BundleError),
}

impl SigningKey {
    /// Reads a PEM file's text: PKCS #8, as `openssl genpkey` writes it.
    ///
    /// # Errors
    /// [`SignatureError::NotAKey`].
    pub fn from_pem(text: &str) -> Result<Self, SignatureError> {
        let body = text
            .split_once("-----BEGIN PRIVATE KEY-----")
            .and_then(|(_, rest)| rest.split_once("-----END PRIVATE KEY-----"))
            .map(|(body, _)| body.split_whitespace().collect::<String>())
            .ok_or(SignatureError::NotAKey)?;
        let der = STANDARD.decode(body).map_err(|_| SignatureError::NotAKey)?;
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der)
            .map(SigningKey)
            .map_err(|_| SignatureError::NotAKey)
    }

    /// Its public half.
    pub fn signer(&self) -> Signer {
        let mut key = [0; 32];
        // An Ed25519 public key has 32 bytes.
        for (to, from) in key.iter_mut().zip(self.0.public_key().as_ref()) {
            *to = *from;
        }
        Signer(key)
    }

    /// The bytes of the bundle's file with a signature by this key instead of what it had. The
    /// digest stays: it is that of the content.
    ///
    /// # Errors
    /// The file would be too large.
    pub fn sign(&self, bundle: &Bundle) -> Result<Vec<u8>, SignatureError> {
        let signature = self.0.sign(&message(bundle.digest()));
        let file = seal(
            bundle.content(),
            bundle.digest(),
            signature.as_ref(),
            &self.signer().0,
        )?;
        // Read back, as after a build.
        Bundle::read(&file)?;
        Ok(file)
    }
}

impl Trust {
    /// Whether a bundle may be used.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, bundle: &Bundle) -> Result<(), SignatureError> {
        match bundle.signer() {
            _ if !self.required => Ok(()),
            None => Err(SignatureError::Unsigned(bundle.id().to_string())),
            Some(signer) if self.keys.contains(&signer) => Ok(()),
            Some(signer) => Err(SignatureError::Untrusted {
                bundle: bundle.id().to_string(),
                signer,
            }),
        }
    }
}

fn message(digest: Digest) -> Vec<u8> {
    [CONTEXT, &digest.0].concat()
}

/// Who signed the bundle with this digest; `None` if there is no signature.
pub(super) fn check(
    digest: Digest,
    signature: &[u8],
    signer: &[u8],
) -> Result<Option<Signer>, BundleError> {
    if signature.is_empty() && signer.is_empty() {
        return Ok(None);
    }
    let corrupt = || BundleError::Corrupt("its signature does not fit its content".to_owned());
    let signer = Signer(signer.try_into().map_err(|_| corrupt())?);
    UnparsedPublicKey::new(&ED25519, &signer.0)
        .verify(&message(digest), signature)
        .map_err(|_| corrupt())?;
    Ok(Some(signer))
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ed25519:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Signer {
    type Err = SignatureError;

    fn from_str(text: &str) -> Result<Self, SignatureError> {
        let refuse = || SignatureError::NotASigner(text.to_owned());
        let hex = text.strip_prefix("ed25519:").ok_or_else(refuse)?;
        if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(refuse());
        }
        let mut key = [0; 32];
        for (index, byte) in key.iter_mut().enumerate() {
            let digits = hex.get(index * 2..index * 2 + 2).ok_or_else(refuse)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| refuse())?;
        }
        Ok(Signer(key))
    }
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;

    use super::*;
    use crate::bundle::tests::sample;

    fn key() -> SigningKey {
        let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let body = STANDARD.encode(der.as_ref());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
        SigningKey::from_pem(&pem).unwrap()
    }

    #[test]
    fn a_signed_bundle_keeps_its_digest_and_names_its_signer() {
        let bundle = Bundle::read(&sample().encode().unwrap()).unwrap();
        assert_eq!(bundle.signer(), None);
        let (key, other) = (key(), key());
        let signed = Bundle::read(&key.sign(&bundle).unwrap()).unwrap();
        assert_eq!(signed.digest(), bundle.digest());
        assert_eq!(signed.signer(), Some(key.signer()));
        let again = Bundle::read(&other.sign(&signed).unwrap()).unwrap();
        assert_eq!(again.signer(), Some(other.signer()));

        let name = key.signer().to_string();
        assert_eq!(name.parse::<Signer>().unwrap(), key.signer());
        for text in ["", "ed25519:12", &name[8..], &name.replace('e', "g")] {
            assert!(text.parse::<Signer>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_signature_that_does_not_fit_is_found() {
        let bundle = Bundle::read(&sample().encode().unwrap()).unwrap();
        let key = key();
        let other = Digest::of(b"another content");
        let foreign = key.0.sign(&message(other));
        let naked = key.0.sign(&bundle.digest().0);
        let signer = key.signer().0;
        for (signature, signer) in [
            (foreign.as_ref(), &signer[..]),
            (naked.as_ref(), &signer[..]),
            (&[][..], &signer[..]),
            (foreign.as_ref(), &[][..]),
            (&[0; 64][..], &[0; 32][..]),
        ] {
            let file = seal(bundle.content(), bundle.digest(), signature, signer).unwrap();
            let error = Bundle::read(&file).unwrap_err().to_string();
            assert!(error.contains("its signature does not fit"), "{error}");
        }
    }

    #[test]
    fn only_known_signers_are_trusted_where_that_is_required() {
        let bundle = Bundle::read(&sample().encode().unwrap()).unwrap();
        let (known, unknown) = (key(), key());
        let required = Trust {
            keys: vec![known.signer()],
            required: true,
        };
        let by = |key: &SigningKey| Bundle::read(&key.sign(&bundle).unwrap()).unwrap();
        assert!(required.check(&by(&known)).is_ok());
        assert!(matches!(
            required.check(&by(&unknown)),
            Err(SignatureError::Untrusted { .. })
        ));
        assert!(matches!(
            required.check(&bundle),
            Err(SignatureError::Unsigned(_))
        ));
        assert!(Trust::default().check(&bundle).is_ok());
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in [
            "",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
        ] {
            assert!(SigningKey::from_pem(text).is_err());
        }
    }
}
