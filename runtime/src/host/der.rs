//! The two DER envelopes in which keys travel: SPKI (RFC 5280) for public ones and PKCS#8
//! (RFC 5958) for private ones, for RSA, P-256, P-384 and Ed25519.

/// The algorithms whose keys are read and written here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyKind {
    /// RSA; parts of a public key: n, e; of a private key: n, e, d, p, q, dp, dq, qi
    Rsa,
    /// ECDSA over P-256; parts: the uncompressed point; private: d and the point
    P256,
    /// ECDSA over P-384; parts as for P-256
    P384,
    /// Ed25519; parts: the public key; private: the seed alone
    Ed25519,
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const NULL: u8 = 0x05;
const OID: u8 = 0x06;
/// Context-specific, constructed, number 1: the public key within an EC private key.
const EC_PUBLIC: u8 = 0xa1;

const OID_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
const OID_EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const OID_P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const OID_P384: &[u8] = &[0x2b, 0x81, 4, 0, 0x22];
const OID_ED25519: &[u8] = &[0x2b, 0x65, 0x70];

impl KeyKind {
    pub(super) fn name(self) -> &'static str {
        match self {
            KeyKind::Rsa => "RSA",
            KeyKind::P256 => "P-256",
            KeyKind::P384 => "P-384",
            KeyKind::Ed25519 => "Ed25519",
        }
    }

    pub(super) fn of_name(name: &str) -> Option<Self> {
        [KeyKind::Rsa, KeyKind::P256, KeyKind::P384, KeyKind::Ed25519]
            .into_iter()
            .find(|kind| kind.name() == name)
    }

    fn algorithm(self) -> Vec<u8> {
        let content = match self {
            KeyKind::Rsa => [tlv(OID, OID_RSA), tlv(NULL, &[])].concat(),
            KeyKind::P256 => [tlv(OID, OID_EC), tlv(OID, OID_P256)].concat(),
            KeyKind::P384 => [tlv(OID, OID_EC), tlv(OID, OID_P384)].concat(),
            KeyKind::Ed25519 => tlv(OID, OID_ED25519),
        };
        tlv(SEQUENCE, &content)
    }

    fn read_algorithm(content: &[u8]) -> Option<Self> {
        let (oid, rest) = take(content, OID)?;
        match oid {
            OID_RSA => Some(KeyKind::Rsa),
            OID_ED25519 => Some(KeyKind::Ed25519),
            OID_EC => match take(rest, OID)?.0 {
                OID_P256 => Some(KeyKind::P256),
                OID_P384 => Some(KeyKind::P384),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Splits off one element with `tag`: its content and what follows it.
fn take(input: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[first, length], rest) = input.split_first_chunk::<2>()?;
    if first != tag {
        return None;
    }
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            (
                bytes
                    .iter()
                    .fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
                rest,
            )
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// A positive integer's bytes without the sign's zero.
fn take_integer(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (content, rest) = take(input, INTEGER)?;
    let start = content
        .iter()
        .position(|byte| *byte != 0)
        .unwrap_or(content.len());
    Some((content.get(start..)?, rest))
}

fn take_bits(input: &[u8]) -> Option<&[u8]> {
    take(input, BIT_STRING)?.0.strip_prefix(&[0])
}

fn integers<const N: usize>(mut input: &[u8]) -> Option<[Vec<u8>; N]> {
    let mut out = [const { Vec::new() }; N];
    for part in &mut out {
        let (value, rest) = take_integer(input)?;
        *part = value.to_vec();
        input = rest;
    }
    Some(out)
}

/// The kind and parts of a public key; `None` for what is malformed or of another kind.
pub(super) fn read_spki(input: &[u8]) -> Option<(KeyKind, Vec<Vec<u8>>)> {
    let (content, rest) = take(input, SEQUENCE)?;
    if !rest.is_empty() {
        return None;
    }
    let (algorithm, rest) = take(content, SEQUENCE)?;
    let kind = KeyKind::read_algorithm(algorithm)?;
    let key = take_bits(rest)?;
    let parts = match kind {
        KeyKind::Rsa => integers::<2>(take(key, SEQUENCE)?.0)?.to_vec(),
        _ => vec![key.to_vec()],
    };
    Some((kind, parts))
}

/// The kind and parts of a private key. An EC key without its public point is refused.
pub(super) fn read_pkcs8(input: &[u8]) -> Option<(KeyKind, Vec<Vec<u8>>)> {
    let (content, rest) = take(input, SEQUENCE)?;
    if !rest.is_empty() {
        return None;
    }
    let (_, rest) = take(content, INTEGER)?;
    let (algorithm, rest) = take(rest, SEQUENCE)?;
    let kind = KeyKind::read_algorithm(algorithm)?;
    let (key, _) = take(rest, OCTET_STRING)?;
    let parts = match kind {
        KeyKind::Rsa => {
            let (_, numbers) = take(take(key, SEQUENCE)?.0, INTEGER)?;
            integers::<8>(numbers)?.to_vec()
        }
        KeyKind::Ed25519 => vec![take(key, OCTET_STRING)?.0.to_vec()],
        KeyKind::P256 | KeyKind::P384 => {
            let (_, rest) = take(take(key, SEQUENCE)?.0, INTEGER)?;
            let (d, rest) = take(rest, OCTET_STRING)?;
            // [0], the curve once more, may come first.
            let rest = take(rest, 0xa0).map_or(rest, |(_, rest)| rest);
            vec![d.to_vec(), take_bits(take(rest, EC_PUBLIC)?.0)?.to_vec()]
        }
    };
    Some((kind, parts))
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len().to_be_bytes();
    if content.len() < 0x80 {
        out.extend(length.last());
    } else {
        let start = length
            .iter()
            .position(|byte| *byte != 0)
            .unwrap_or_default();
        let bytes = length.get(start..).unwrap_or_default();
        out.push(0x80 | bytes.len() as u8);
        out.extend(bytes);
    }
    out.extend(content);
    out
}

fn integer(value: &[u8]) -> Vec<u8> {
    match value.first() {
        Some(first) if *first < 0x80 => tlv(INTEGER, value),
        _ => tlv(INTEGER, &[&[0], value].concat()),
    }
}

fn sequence_of_integers(parts: &[Vec<u8>]) -> Vec<u8> {
    let content: Vec<u8> = parts.iter().flat_map(|part| integer(part)).collect();
    tlv(SEQUENCE, &content)
}

/// The public key in `parts` as SPKI; `None` if the parts do not fit the kind.
pub(super) fn write_spki(kind: KeyKind, parts: &[Vec<u8>]) -> Option<Vec<u8>> {
    let key = match (kind, parts) {
        (KeyKind::Rsa, [_, _]) => sequence_of_integers(parts),
        (KeyKind::Rsa, _) => return None,
        (_, [key]) => key.clone(),
        _ => return None,
    };
    let bits = tlv(BIT_STRING, &[vec![0], key].concat());
    Some(tlv(SEQUENCE, &[kind.algorithm(), bits].concat()))
}

/// The private key in `parts` as PKCS#8; `None` if the parts do not fit the kind.
pub(super) fn write_pkcs8(kind: KeyKind, parts: &[Vec<u8>]) -> Option<Vec<u8>> {
    let key = match (kind, parts) {
        (KeyKind::Rsa, [_, _, _, _, _, _, _, _]) => {
            sequence_of_integers(&[&[vec![0]], parts].concat())
        }
        (KeyKind::Ed25519, [seed]) => tlv(OCTET_STRING, seed),
        (KeyKind::P256 | KeyKind::P384, [d, point]) => {
            let bits = tlv(BIT_STRING, &[&[0], point.as_slice()].concat());
            let content = [integer(&[1]), tlv(OCTET_STRING, d), tlv(EC_PUBLIC, &bits)].concat();
            tlv(SEQUENCE, &content)
        }
        _ => return None,
    };
    let content = [integer(&[0]), kind.algorithm(), tlv(OCTET_STRING, &key)].concat();
    Some(tlv(SEQUENCE, &content))
}
