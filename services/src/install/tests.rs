use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;

use super::*;

/// A registry on a loopback port that serves fixed paths and counts the requests.
struct Registry {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Registry {
    fn serve(files: HashMap<String, Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let request = lines.next().unwrap().unwrap();
                let headers = lines
                    .map(Result::unwrap)
                    .take_while(|line| !line.is_empty());
                let token = headers
                    .filter(|h| h.to_lowercase().starts_with("authorization"))
                    .last();
                let path = request.split(' ').nth(1).unwrap().to_owned();
                let log_line = format!("{path} {}", token.unwrap_or_default());
                let first_time = !log.lock().unwrap().contains(&log_line);
                log.lock().unwrap().push(log_line);
                let (status, body): (_, &[u8]) = match files.get(&path) {
                    // The first try of each fails, as registries do.
                    Some(_) if first_time => ("503 Unavailable", b""),
                    Some(body) => ("200 OK", body),
                    None => ("404 Not Found", b""),
                };
                let length = body.len();
                write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\n").unwrap();
                stream.write_all(b"connection: close\r\n\r\n").unwrap();
                let _ = stream.write_all(body);
            }
        });
        Self { url, requests }
    }
}

fn tarball(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(flate2::write::GzEncoder::new(
        Vec::new(),
        Default::default(),
    ));
    for (path, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        // Written raw: the builder itself refuses paths such as `../x`.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        builder.append(&header, text.as_bytes()).unwrap();
    }
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    builder
        .append_link(&mut link, "package/link", "/etc/passwd")
        .unwrap();
    builder.into_inner().unwrap().finish().unwrap()
}

fn sri(bytes: &[u8]) -> String {
    ssri::IntegrityOpts::new()
        .algorithm(ssri::Algorithm::Sha512)
        .chain(bytes)
        .result()
        .to_string()
}

/// A project whose lock file has the given packages; its cache is inside of it.
fn project(packages: &str, npmrc: &str) -> (tempfile::TempDir, LockFile, Env) {
    let temp = tempfile::tempdir().unwrap();
    let lock = format!(r#"{{"lockfileVersion": 3, "packages": {{"": {{}}, {packages}}}}}"#);
    std::fs::write(temp.path().join(LOCK_FILE), lock).unwrap();
    std::fs::write(temp.path().join(".npmrc"), npmrc).unwrap();
    let lock = LockFile::load(temp.path()).unwrap().unwrap();
    let cache = temp.path().join("cache").to_string_lossy().into_owned();
    (
        temp,
        lock,
        Env::from([("ISOLITH_CACHE_DIR".to_owned(), cache)]),
    )
}

#[test]
fn installs_what_is_locked_and_nothing_else() {
    let a = tarball(&[("package/package.json", "{}"), ("package/lib/x.js", "x")]);
    let b = tarball(&[("odd-folder/index.js", "b")]);
    let registry = Registry::serve(HashMap::from([
        ("/npm/a/-/a-1.0.0.tgz".to_owned(), a.clone()),
        ("/npm/@s/b/-/b-2.0.0.tgz".to_owned(), b.clone()),
    ]));
    let (a_sri, b_sri) = (sri(&a), sri(&b));
    let packages = format!(
        r#""node_modules/a": {{"version": "1.0.0", "integrity": "{a_sri}",
              "resolved": "https://registry.npmjs.org/a/-/a-1.0.0.tgz", "hasInstallScript": true}},
           "node_modules/a/node_modules/@s/b": {{"version": "2.0.0", "integrity": "{b_sri}"}},
           "node_modules/dev": {{"version": "1.0.0", "dev": true}},
           "node_modules/other-os": {{"version": "1.0.0", "optional": true, "os": ["plan9"]}}"#
    );
    let host = registry.url.trim_start_matches("http:");
    let npmrc = format!(
        "registry={}/npm\n{host}/npm/:_authToken=t0ken",
        registry.url
    );
    let (temp, lock, env) = project(&packages, &npmrc);
    let lines = Mutex::new(Vec::new());
    let progress = |line: &str| lines.lock().unwrap().push(line.to_owned());

    assert_eq!(install(temp.path(), &lock, &env, &progress).unwrap(), 2);
    let modules = temp.path().join("node_modules");
    let text = |path: &str| std::fs::read_to_string(modules.join(path)).unwrap();
    assert_eq!(text("a/lib/x.js"), "x");
    assert_eq!(text("a/node_modules/@s/b/index.js"), "b");
    assert!(!modules.join("dev").exists() && !modules.join("other-os").exists());
    assert!(
        modules.join("a/link").symlink_metadata().is_err(),
        "a link was unpacked"
    );
    let left: Vec<_> = std::fs::read_dir(temp.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(".node_modules"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(
        lines
            .lock()
            .unwrap()
            .iter()
            .any(|line| line == "downloading a 1.0.0")
    );
    let requests = registry.requests.lock().unwrap().clone();
    assert_eq!(
        requests.len(),
        4,
        "two packages, one retry each: {requests:?}"
    );
    assert!(
        requests
            .iter()
            .all(|request| request.ends_with("Bearer t0ken")),
        "{requests:?}"
    );

    // From the cache, which is checked too.
    std::fs::remove_dir_all(&modules).unwrap();
    install(temp.path(), &lock, &env, &progress).unwrap();
    assert_eq!(registry.requests.lock().unwrap().len(), 4);
    let cached = Cache::new(&env)
        .0
        .join(tarball::cache_name(&a_sri.parse().unwrap()));
    std::fs::write(cached, "damaged").unwrap();
    std::fs::remove_dir_all(&modules).unwrap();
    install(temp.path(), &lock, &env, &progress).unwrap();
    assert_eq!(registry.requests.lock().unwrap().len(), 5);

    // A file that was changed after the install.
    let inlined = [Inlined {
        dependency: crate::lock::Dependency {
            name: "a".into(),
            version: "1.0.0".into(),
            integrity: a_sri,
        },
        folder: modules.join("a"),
        files: vec![modules.join("a/lib/x.js")],
    }];
    check_unaltered(&inlined, &env).unwrap();
    std::fs::write(modules.join("a/lib/x.js"), "y").unwrap();
    let error = check_unaltered(&inlined, &env).unwrap_err().to_string();
    assert!(error.contains("`a` 1.0.0 was altered: lib/x.js"), "{error}");
}

#[test]
fn what_is_not_what_it_should_be_is_refused() {
    let good = tarball(&[("package/x.js", "x")]);
    let escaping = tarball(&[("package/../../evil.js", "x")]);
    let registry = Registry::serve(HashMap::from([
        ("/a/-/a-1.0.0.tgz".to_owned(), good.clone()),
        ("/evil/-/evil-1.0.0.tgz".to_owned(), escaping.clone()),
        ("/text/-/text-1.0.0.tgz".to_owned(), b"no tarball".to_vec()),
    ]));
    let npmrc = format!("registry={}", registry.url);
    let sha512 = sri(&good);
    let (evil, text) = (sri(&escaping), sri(b"no tarball"));
    let refusals = [
        (
            r#""node_modules/a": {"version": "1.0.0"}"#,
            "`a` has no integrity hash",
        ),
        (
            r#""node_modules/a": {"version": "1.0.0", "integrity": "md5-x"}"#,
            "`a` `md5-x` is not",
        ),
        (
            r#""node_modules/a": {"resolved": "packages/a", "link": true}"#,
            "is a link or a workspace",
        ),
        (
            r#""packages/a": {"version": "1.0.0"}"#,
            "is a link or a workspace",
        ),
        (
            r#""node_modules/a": {"version": "1.0.0", "resolved": "git+ssh://git@x/a.git#1"}"#,
            "`a` comes from git+ssh (git+ssh://git@x/a.git#1)",
        ),
        (
            r#""node_modules/a": {"version": "1.0.0", "resolved": "file:../a.tgz"}"#,
            "`a` comes from file (file:../a.tgz)",
        ),
        (
            r#""node_modules/../../a": {"version": "1.0.0"}"#,
            "which is not a package's",
        ),
        (
            r#""node_modules/a": {"version": "1.0.0", "inBundle": true}"#,
            "is bundled inside",
        ),
        (
            &format!(r#""node_modules/a": {{"version": "1.0.0", "integrity": "{evil}"}}"#),
            "its hash differs",
        ),
        (
            &format!(r#""node_modules/evil": {{"version": "1.0.0", "integrity": "{evil}"}}"#),
            "has a file outside of itself: package/../../evil.js",
        ),
        (
            &format!(r#""node_modules/text": {{"version": "1.0.0", "integrity": "{text}"}}"#),
            "the tarball of `text` 1.0.0 is broken",
        ),
        (
            &format!(r#""node_modules/gone": {{"version": "1.0.0", "integrity": "{sha512}"}}"#),
            "/gone/-/gone-1.0.0.tgz: http status: 404",
        ),
    ];
    for (packages, message) in refusals {
        let (temp, lock, env) = project(packages, &npmrc);
        let error = install(temp.path(), &lock, &env, &|_| {})
            .unwrap_err()
            .to_string();
        assert!(error.contains(message), "{packages}: {error}");
        assert!(
            !temp.path().join("node_modules").exists(),
            "{packages} was installed"
        );
        assert!(!temp.path().join("evil.js").exists());
    }
}
