use super::*;

/// A small bundle with something in every field.
pub(crate) fn sample() -> Content {
    Content {
        service: "auth".parse().unwrap(),
        version: "1.4.0-rc.1".parse().unwrap(),
        http: true,
        native: false,
        modules: vec![ModuleContent {
            specifier: "main.js".into(),
            source: "export class AuthService {} // \u{e9}".into(),
            source_map: "{\"version\":3}".into(),
        }],
        exports: vec![ExportContent {
            name: "AUTH".into(),
            interface: 0xfeed,
            interface_name: "schema/auth.capnp:Auth".into(),
            class: "AuthService".into(),
        }],
        imports: vec![ImportContent {
            name: "CLOCK".into(),
            service: "clock".parse().unwrap(),
            range: "^2.1".parse().unwrap(),
            export: Some("WALL".into()),
            interface: 7,
            interface_name: "schema/clock.capnp:Clock".into(),
        }],
        vars: [
            ("A".to_owned(), Some("1".to_owned())),
            ("B".to_owned(), None),
        ]
        .into(),
        fetches: vec![(
            "GEO".to_owned(),
            vec!["https://*.example.com:8443".parse().unwrap()],
        )],
        secrets: ["TOKEN".to_owned()].into(),
        limits: Limits {
            cpu_ms_per_request: 50,
            heap_mib: 64,
        },
        schema: vec![1, 2, 3],
        dependencies: vec![Dependency {
            name: "zod".into(),
            version: "4.0.0".into(),
            integrity: "sha512-x".into(),
        }],
    }
}

#[test]
fn what_is_written_is_read() {
    let content = sample();
    let bytes = content.encode().unwrap();
    assert_eq!(bytes, content.encode().unwrap());
    let bundle = Bundle::read(&bytes).unwrap();
    assert_eq!(bundle.id().to_string(), "auth@1.4.0-rc.1");
    assert!(bundle.http());
    let modules: Vec<_> = bundle.modules().collect();
    assert_eq!(modules.len(), 1);
    assert_eq!(modules[0].specifier, "main.js");
    assert_eq!(modules[0].source, content.modules[0].source);
    assert_eq!(modules[0].source_map, content.modules[0].source_map);
    assert_eq!(bundle.exports(), content.exports);
    assert_eq!(bundle.imports(), content.imports);
    assert_eq!(bundle.vars(), &content.vars);
    assert_eq!(bundle.fetches(), content.fetches);
    assert_eq!(bundle.secrets(), &content.secrets);
    assert_eq!(bundle.limits(), content.limits);
    assert_eq!(bundle.schema(), content.schema);
    assert_eq!(bundle.schema().as_ptr() as usize % 8, 0);
    assert_eq!(bundle.dependencies(), content.dependencies);
    assert_eq!(bundle.file_bytes(), bytes);
    assert_eq!(bundle.facts().imports[0].export.as_deref(), Some("WALL"));
    let source = modules[0].source.as_bytes().as_ptr_range();
    assert!(
        bundle.file_bytes().as_ptr_range().contains(&source.start),
        "the source was copied"
    );
}

#[test]
fn every_flipped_bit_and_every_truncation_is_refused() {
    let bytes = sample().encode().unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(Bundle::read(&flipped).is_err(), "bit {bit} went unnoticed");
    }
    for length in 0..bytes.len() {
        let error = Bundle::read(&bytes[..length]).unwrap_err();
        assert!(
            matches!(error, BundleError::Truncated { .. }),
            "{length}: {error}"
        );
    }
    let longer = [&bytes[..], &[0; 8]].concat();
    assert!(matches!(
        Bundle::read(&longer),
        Err(BundleError::Corrupt(_))
    ));
}

/// A flipped bit inside the content, with a digest that fits: what an ill-meaning builder makes.
#[test]
fn hostile_content_is_refused_or_read_but_never_panics() {
    let bytes = sample().encode().unwrap();
    let bundle = Bundle::read(&bytes).unwrap();
    let file = bundle.file_bytes();
    let start = file
        .windows(8)
        .skip(1)
        .position(|w| w[..4] == [0; 4] && w[4] > 20)
        .unwrap()
        + 1;
    let length =
        8 + 8 * u32::from_le_bytes(file[start + 4..start + 8].try_into().unwrap()) as usize;
    let content = &file[start..start + length];
    assert_eq!(Digest::of(content), bundle.digest());
    for bit in 0..content.len() * 8 {
        let mut flipped = content.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let Ok(sealed) = seal(&flipped, Digest::of(&flipped), &[], &[]) else {
            continue;
        };
        if let Ok(bundle) = Bundle::read(&sealed) {
            bundle.modules().for_each(drop);
        }
    }
}

#[test]
fn nonsense_is_told_apart() {
    let refused = |content: Content| Bundle::read(&content.encode().unwrap()).unwrap_err();
    let twice = Content {
        exports: [sample().exports, sample().exports].concat(),
        ..sample()
    };
    assert!(
        refused(twice)
            .to_string()
            .contains("two exports are named `AUTH`")
    );
    let empty = Content {
        modules: Vec::new(),
        ..sample()
    };
    assert!(refused(empty).to_string().contains("has no module"));
    assert!(matches!(
        Bundle::read(b"not a bundle at all, but text"),
        Err(BundleError::Corrupt(_))
    ));

    let mut message = message::Builder::new_default();
    let mut root = message.init_root::<isolith_capnp::bundle_capnp::bundle::Builder<'_>>();
    root.set_format_version(2);
    let content = canonical(message).unwrap();
    let file = seal(&content, Digest::of(&content), &[], &[]).unwrap();
    assert!(matches!(
        Bundle::read(&file),
        Err(BundleError::UnknownFormat(2))
    ));
}

#[test]
fn the_store_keeps_and_checks() {
    let temp = tempfile::tempdir().unwrap();
    let store = crate::store::BundleStore::open(temp.path()).unwrap();
    let bundle = Bundle::read(&sample().encode().unwrap()).unwrap();
    let digest = bundle.digest();
    assert!(matches!(
        store.get(&digest),
        Err(crate::store::StoreError::Missing(_))
    ));
    store.put(&bundle).unwrap();
    store.put(&bundle).unwrap();
    assert_eq!(store.list().unwrap(), [digest]);
    assert_eq!(
        store.get(&digest).unwrap().file_bytes(),
        bundle.file_bytes()
    );

    let path = std::fs::read_dir(temp.path().join("bundles"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    std::fs::write(path.path(), &bundle.file_bytes()[..64]).unwrap();
    assert!(matches!(
        store.get(&digest),
        Err(crate::store::StoreError::Damaged { .. })
    ));
    let other = Content {
        http: false,
        ..sample()
    }
    .encode()
    .unwrap();
    std::fs::write(path.path(), other).unwrap();
    let error = store.get(&digest).unwrap_err().to_string();
    assert!(
        error.contains("is damaged") && error.contains("it holds sha256:"),
        "{error}"
    );
}
