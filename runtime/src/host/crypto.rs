//! Cryptography for `js/crypto.js`, by the crate `ring`: reviewed, constant-time, and built by a
//! C compiler alone (`aws-lc-rs` knows more algorithms and needs more to build).
//!
//! Keys are bytes in JavaScript's private fields and are parsed at each use; a native key held
//! here would outlive its isolate's snapshot or need a finaliser.

use std::num::NonZeroU32;

use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use ring::{aead, digest, hkdf, hmac, pbkdf2, rsa};
use v8::MapFnTo;

use super::convert::{
    Args, Op, Ret, allocate, bytes_arg, return_bytes, string_arg, throw_type, with_bytes,
    write_view,
};
use super::der::{self, KeyKind};

pub(super) fn ops() -> Vec<Op> {
    vec![
        ("randomFill", random_fill.map_fn_to()),
        ("digest", digest_op.map_fn_to()),
        ("hmacSign", hmac_sign.map_fn_to()),
        ("hmacVerify", hmac_verify.map_fn_to()),
        ("aesGcm", aes_gcm.map_fn_to()),
        ("pbkdf2", pbkdf2_op.map_fn_to()),
        ("hkdf", hkdf_op.map_fn_to()),
        ("ecGenerate", ec_generate.map_fn_to()),
        ("edPublic", ed_public.map_fn_to()),
        ("sign", sign.map_fn_to()),
        ("verify", verify.map_fn_to()),
        ("keyRead", key_read.map_fn_to()),
        ("keyWrite", key_write.map_fn_to()),
    ]
}

/// A list of byte arguments starting at `first`; `None` after throwing.
fn byte_args<const N: usize>(
    scope: &mut v8::PinScope<'_, '_>,
    args: &Args<'_>,
    first: i32,
) -> Option<[Vec<u8>; N]> {
    let mut out = [const { Vec::new() }; N];
    for (part, index) in out.iter_mut().zip(first..) {
        *part = bytes_arg(scope, args, index)?;
    }
    Some(out)
}

/// The byte views in the array at argument `index`; `None` after throwing.
fn parts_arg(
    scope: &mut v8::PinScope<'_, '_>,
    args: &Args<'_>,
    index: i32,
) -> Option<Vec<Vec<u8>>> {
    let Ok(list) = args.get(index).try_cast::<v8::Array>() else {
        throw_type(scope, &format!("argument {index} must be an array"));
        return None;
    };
    let mut parts = Vec::new();
    for at in 0..list.length() {
        let part = list.get_index(scope, at)?;
        parts.push(with_bytes(scope, part, <[u8]>::to_vec)?);
    }
    Some(parts)
}

/// The hash named by argument `index`; `None` after throwing.
fn hash_arg(
    scope: &mut v8::PinScope<'_, '_>,
    args: &Args<'_>,
    index: i32,
) -> Option<&'static digest::Algorithm> {
    let hash = match string_arg(scope, args, index)?.as_str() {
        "SHA-1" => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        "SHA-256" => &digest::SHA256,
        "SHA-384" => &digest::SHA384,
        "SHA-512" => &digest::SHA512,
        _ => {
            throw_type(scope, "unknown hash");
            return None;
        }
    };
    Some(hash)
}

fn hmac_of(hash: &'static digest::Algorithm) -> hmac::Algorithm {
    if hash == &digest::SHA1_FOR_LEGACY_USE_ONLY {
        hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY
    } else if hash == &digest::SHA384 {
        hmac::HMAC_SHA384
    } else if hash == &digest::SHA512 {
        hmac::HMAC_SHA512
    } else {
        hmac::HMAC_SHA256
    }
}

/// `host.randomFill(view)`
fn random_fill(scope: &mut v8::PinScope<'_, '_>, args: Args<'_>, _: Ret<'_>) {
    let Ok(view) = args.get(0).try_cast::<v8::ArrayBufferView>() else {
        return throw_type(scope, "argument 0 must be a view");
    };
    let mut bytes = vec![0u8; view.byte_length()];
    if SystemRandom::new().fill(&mut bytes).is_err() {
        return throw_type(scope, "the operating system gave no random bytes");
    }
    write_view(view, &bytes);
}

/// `host.digest(hash, data, allocate)`
fn digest_op<'s>(scope: &mut v8::PinScope<'s, '_>, args: Args<'s>, mut rv: Ret<'s>) {
    let Some(hash) = hash_arg(scope, &args, 0) else {
        return;
    };
    if let Some(value) = with_bytes(scope, args.get(1), |data| digest::digest(hash, data)) {
        return_bytes(scope, &args, 2, &mut rv, value.as_ref());
    }
}

/// `host.hmacSign(hash, key, data, allocate)`
fn hmac_sign<'s>(scope: &mut v8::PinScope<'s, '_>, args: Args<'s>, mut rv: Ret<'s>) {
    let Some(hash) = hash_arg(scope, &args, 0) else {
        return;
    };
    let Some([key, data]) = byte_args(scope, &args, 1) else {
        return;
    };
    let tag = hmac::sign(&hmac::Key::new(hmac_of(hash), &key), &data);
    return_bytes(scope, &args, 3, &mut rv, tag.as_ref());
}

/// `host.hmacVerify(hash, key, tag, data)`: a boolean, in constant time.
fn hmac_verify(scope: &mut v8::PinScope<'_, '_>, args: Args<'_>, mut rv: Ret<'_>) {
    let Some(hash) = hash_arg(scope, &args, 0) else {
        return;
    };
    let Some([key, tag, data]) = byte_args(scope, &args, 1) else {
        return;
    };
    rv.set_bool(hmac::verify(&hmac::Key::new(hmac_of(hash), &key), &data, &tag).is_ok());
}

/// `host.aesGcm(seal, key, nonce, extra, data, allocate)`: undefined if the data is not
/// authentic or a length does not fit.
fn aes_gcm<'s>(scope: &mut v8::PinScope<'s, '_>, args: Args<'s>, mut rv: Ret<'s>) {
    let Some([key, nonce, extra, mut data]) = byte_args(scope, &args, 1) else {
        return;
    };
    let algorithm = if key.len() == 16 {
        &aead::AES_128_GCM
    } else {
        &aead::AES_256_GCM
    };
    let (Ok(key), Ok(nonce)) = (
        aead::UnboundKey::new(algorithm, &key),
        aead::Nonce::try_assume_unique_for_key(&nonce),
    ) else {
        return;
    };
    let key = aead::LessSafeKey::new(key);
    let extra = aead::Aad::from(extra);
    if args.get(0).is_true() {
        if key
            .seal_in_place_append_tag(nonce, extra, &mut data)
            .is_ok()
        {
            return_bytes(scope, &args, 5, &mut rv, &data);
        }
    } else if let Ok(plain) = key.open_in_place(nonce, extra, &mut data) {
        return_bytes(scope, &args, 5, &mut rv, plain);
    }
}

/// `host.pbkdf2(hash, secret, salt, iterations, bytes, allocate)`
fn pbkdf2_op<'s>(scope: &mut v8::PinScope<'s, '_>, args: Args<'s>, mut rv: Ret<'s>) {
    let Some(hash) = hash_arg(scope, &args, 0) else {
        return;
    };
    let Some([secret, salt]) = byte_args(scope, &args, 1) else {
        return;
    };
    let algorithm = if hash == &digest::SHA1_FOR_LEGACY_USE_ONLY {
        pbkdf2::PBKDF2_HMAC_SHA1
    } else if hash == &digest::SHA384 {
        pbkdf2::PBKDF2_HMAC_SHA384
    } else if hash == &digest::SHA512 {
        pbkdf2::PBKDF2_HMAC_SHA512
    } else {
        pbkdf2::PBKDF2_HMAC_SHA256
    };
    let iterations = args.get(3).uint32_value(scope).and_then(NonZeroU32::new);
    let (Some(iterations), Some(len)) = (iterations, args.get(4).uint32_value(scope)) else {
        return throw_type(scope, "argument 3 must be a positive integer");
    };
    let mut out = vec![0u8; len as usize];
    pbkdf2::derive(algorithm, iterations, &salt, &secret, &mut out);
    return_bytes(scope, &args, 5, &mut rv, &out);
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// `host.hkdf(hash, secret, salt, info, bytes, allocate)`: undefined if that is too long.
fn hkdf_op<'s>(scope: &mut v8::PinScope<'s, '_>, args: Args<'s>, mut rv: Ret<'s>) {
    let Some(hash) = hash_arg(scope, &args, 0) else {
        return;
    };
    let Some([secret, salt, info]) = byte_args(scope, &args, 1) else {
        return;
    };
    let algorithm = if hash == &digest::SHA1_FOR_LEGACY_USE_ONLY {
        hkdf::HKDF_SHA1_FOR_LEGACY_USE_ONLY
    } else if hash == &digest::SHA384 {
        hkdf::HKDF_SHA384
    } else if hash == &digest::SHA512 {
        hkdf::HKDF_SHA512
    } else {
        hkdf::HKDF_SHA256
    };
    let len = args.get(4).uint32_value(scope).unwrap_or_default() as usize;
    let key = hkdf::Salt::new(algorithm, &salt).extract(&secret);
    let info = [info.as_slice()];
    let Ok(material) = key.expand(&info, Length(len)) else {
        return;
    };
    let mut out = vec![0u8; len];
    if material.fill(&mut out).is_ok() {
        return_bytes(scope, &args, 5, &mut rv, &out);
    }
}

/// The key kind named by argument `index`; `None` after throwing.
fn kind_arg(scope: &mut v8::PinScope<'_, '_>, args: &Args<'_>, index: i32) -> Option<KeyKind> {
    let kind = KeyKind::of_name(&string_arg(scope, args, index)?);
    if kind.is_none() {
        throw_type(scope, "unknown kind of key");
    }
    kind
}

fn ec_signing(kind: KeyKind) -> &'static signature::EcdsaSigningAlgorithm {
    match kind {
        KeyKind::P384 => &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
        _ => &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
    }
}

/// A list of byte arrays, each made by the allocator in argument `index`; `None` after throwing.
fn return_parts<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: &Args<'s>,
    index: i32,
    rv: &mut Ret<'s>,
    first: Option<v8::Local<'s, v8::Value>>,
    parts: &[Vec<u8>],
) {
    let mut list: Vec<v8::Local<v8::Value>> = first.into_iter().collect();
    for part in parts {
        let Some(view) = allocate(scope, args, index, part.len()) else {
            return;
        };
        write_view(view, part);
        list.push(view.into());
    }
    rv.set(v8::Array::new_with_elements(scope, &list).into());
}

/// `host.ecGenerate(curve, allocate)`: `[d, point]`
fn ec_generate<'s>(scope: &mut v8::PinScope<'s, '_>, args: Args<'s>, mut rv: Ret<'s>) {
    let Some(kind) = kind_arg(scope, &args, 0) else {
        return;
    };
    let document = EcdsaKeyPair::generate_pkcs8(ec_signing(kind), &SystemRandom::new()).ok();
    match document.and_then(|document| der::read_pkcs8(document.as_ref())) {
        Some((_, parts)) => return_parts(scope, &args, 1, &mut rv, None, &parts),
        None => throw_type(scope, "no key could be generated"),
    }
}

/// `host.edPublic(seed, allocate)`: the public key, or undefined for a seed of a wrong length.
fn ed_public<'s>(scope: &mut v8::PinScope<'s, '_>, args: Args<'s>, mut rv: Ret<'s>) {
    let Some(seed) = bytes_arg(scope, &args, 0) else {
        return;
    };
    if let Ok(pair) = Ed25519KeyPair::from_seed_unchecked(&seed) {
        return_bytes(scope, &args, 1, &mut rv, pair.public_key().as_ref());
    }
}

/// `host.sign(kind, scheme, hash, parts, data, allocate)`: undefined if the key is not valid.
/// `parts` as in PKCS#8, plus the public key for Ed25519; `scheme` is "pkcs1" or "pss" for RSA.
fn sign<'s>(scope: &mut v8::PinScope<'s, '_>, args: Args<'s>, mut rv: Ret<'s>) {
    let Some(kind) = kind_arg(scope, &args, 0) else {
        return;
    };
    let Some(scheme) = string_arg(scope, &args, 1) else {
        return;
    };
    let Some(hash) = hash_arg(scope, &args, 2) else {
        return;
    };
    let Some(parts) = parts_arg(scope, &args, 3) else {
        return;
    };
    let Some(data) = bytes_arg(scope, &args, 4) else {
        return;
    };
    if let Some(value) = signature_of(kind, &scheme, hash, &parts, &data) {
        return_bytes(scope, &args, 5, &mut rv, &value);
    }
}

fn signature_of(
    kind: KeyKind,
    scheme: &str,
    hash: &'static digest::Algorithm,
    parts: &[Vec<u8>],
    data: &[u8],
) -> Option<Vec<u8>> {
    let random = SystemRandom::new();
    match (kind, parts) {
        (KeyKind::P256 | KeyKind::P384, [d, point]) => {
            let pair =
                EcdsaKeyPair::from_private_key_and_public_key(ec_signing(kind), d, point, &random);
            Some(pair.ok()?.sign(&random, data).ok()?.as_ref().to_vec())
        }
        (KeyKind::Ed25519, [seed, public]) => {
            let pair = Ed25519KeyPair::from_seed_and_public_key(seed, public).ok()?;
            Some(pair.sign(data).as_ref().to_vec())
        }
        (KeyKind::Rsa, [n, e, d, p, q, dp, dq, qi]) => {
            let pair = rsa::KeyPair::from_components(&rsa::KeyPairComponents {
                public_key: rsa::PublicKeyComponents { n, e },
                d,
                p,
                q,
                dP: dp,
                dQ: dq,
                qInv: qi,
            });
            let pair = pair.ok()?;
            let padding: &dyn signature::RsaEncoding = match (scheme, hash.output_len()) {
                ("pss", 32) => &signature::RSA_PSS_SHA256,
                ("pss", 48) => &signature::RSA_PSS_SHA384,
                ("pss", 64) => &signature::RSA_PSS_SHA512,
                (_, 32) => &signature::RSA_PKCS1_SHA256,
                (_, 48) => &signature::RSA_PKCS1_SHA384,
                (_, 64) => &signature::RSA_PKCS1_SHA512,
                _ => return None,
            };
            let mut value = vec![0; pair.public().modulus_len()];
            pair.sign(padding, &random, data, &mut value).ok()?;
            Some(value)
        }
        _ => None,
    }
}

/// `host.verify(kind, scheme, hash, parts, signature, data)`: a boolean. `parts` as in SPKI.
fn verify(scope: &mut v8::PinScope<'_, '_>, args: Args<'_>, mut rv: Ret<'_>) {
    let Some(kind) = kind_arg(scope, &args, 0) else {
        return;
    };
    let Some(scheme) = string_arg(scope, &args, 1) else {
        return;
    };
    let Some(hash) = hash_arg(scope, &args, 2) else {
        return;
    };
    let Some(parts) = parts_arg(scope, &args, 3) else {
        return;
    };
    let Some([value, data]) = byte_args(scope, &args, 4) else {
        return;
    };
    let check = |algorithm: &'static dyn signature::VerificationAlgorithm, key: &[u8]| {
        UnparsedPublicKey::new(algorithm, key)
            .verify(&data, &value)
            .is_ok()
    };
    let valid = match (kind, parts.as_slice()) {
        (KeyKind::P256, [point]) => check(&signature::ECDSA_P256_SHA256_FIXED, point),
        (KeyKind::P384, [point]) => check(&signature::ECDSA_P384_SHA384_FIXED, point),
        (KeyKind::Ed25519, [key]) => check(&signature::ED25519, key),
        (KeyKind::Rsa, [n, e]) => {
            let padding = match (scheme.as_str(), hash.output_len()) {
                ("pss", 32) => &signature::RSA_PSS_2048_8192_SHA256,
                ("pss", 48) => &signature::RSA_PSS_2048_8192_SHA384,
                ("pss", 64) => &signature::RSA_PSS_2048_8192_SHA512,
                ("pss", _) => return rv.set_bool(false),
                (_, 32) => &signature::RSA_PKCS1_2048_8192_SHA256,
                (_, 48) => &signature::RSA_PKCS1_2048_8192_SHA384,
                (_, 64) => &signature::RSA_PKCS1_2048_8192_SHA512,
                _ => &signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
            };
            rsa::PublicKeyComponents { n, e }
                .verify(padding, &data, &value)
                .is_ok()
        }
        _ => false,
    };
    rv.set_bool(valid);
}

/// `host.keyRead(format, bytes, allocate)`: `[kind, part, ...]` of "spki" or "pkcs8", or
/// undefined for what is malformed.
fn key_read<'s>(scope: &mut v8::PinScope<'s, '_>, args: Args<'s>, mut rv: Ret<'s>) {
    let Some(format) = string_arg(scope, &args, 0) else {
        return;
    };
    let Some(bytes) = bytes_arg(scope, &args, 1) else {
        return;
    };
    let read = if format == "spki" {
        der::read_spki
    } else {
        der::read_pkcs8
    };
    let Some((kind, parts)) = read(&bytes) else {
        return;
    };
    let Some(name) = v8::String::new(scope, kind.name()) else {
        return;
    };
    return_parts(scope, &args, 2, &mut rv, Some(name.into()), &parts);
}

/// `host.keyWrite(format, kind, parts, allocate)`
fn key_write<'s>(scope: &mut v8::PinScope<'s, '_>, args: Args<'s>, mut rv: Ret<'s>) {
    let Some(format) = string_arg(scope, &args, 0) else {
        return;
    };
    let Some(kind) = kind_arg(scope, &args, 1) else {
        return;
    };
    let Some(parts) = parts_arg(scope, &args, 2) else {
        return;
    };
    let write = if format == "spki" {
        der::write_spki
    } else {
        der::write_pkcs8
    };
    if let Some(bytes) = write(kind, &parts) {
        return_bytes(scope, &args, 3, &mut rv, &bytes);
    }
}
