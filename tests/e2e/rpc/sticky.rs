//! Which version a session gets while a rollout is under way.

use isolith_capnp::rpc_capnp::isolith;

use super::client::{on_client, unix};
use super::{auth, serve};

/// Sessions whose versions are compared.
const KEYS: usize = 100;

/// What a session with this key gets.
async fn version(root: &isolith::Client, key: usize) -> String {
    let mut request = root.open_request();
    request.get().set_service("auth");
    request.get().set_sticky_key(format!("u{key}"));
    let opened = request.send().promise.await.unwrap();
    let version = opened.get().unwrap().get_version().unwrap();
    version.to_string().unwrap()
}

/// What each key gets.
async fn versions(root: &isolith::Client) -> Vec<String> {
    let mut versions = Vec::new();
    for key in 0..KEYS {
        versions.push(version(root, key).await);
    }
    versions
}

#[test]
fn a_session_s_key_has_its_version_for_as_long_as_the_rollout_goes_up() {
    let server = serve();
    let next = auth("1.3.0");
    let next = next.to_str().unwrap();
    let rollout = |verb: &str, rest: &[&str]| {
        server
            .control(&[&["rollout", verb, "auth"], rest].concat())
            .done();
    };
    on_client(async {
        let root = unix(&server).await;
        rollout("start", &[next, "--manual"]);
        let new = |versions: &[String]| versions.iter().filter(|seen| *seen == "1.3.0").count();
        assert_eq!(new(&versions(&root).await), 0);

        rollout("set", &["50%"]);
        let half = versions(&root).await;
        // 100 keys are a small sample: five standard deviations.
        assert!((25..=75).contains(&new(&half)), "{half:?}");
        // The same over another connection.
        let other = unix(&server).await;
        assert_eq!(versions(&other).await, half);

        rollout("set", &["80%"]);
        let most = versions(&root).await;
        assert!(new(&most) > new(&half), "{most:?}");
        for (before, after) in half.iter().zip(&most) {
            assert!(before == "1.0.0" || after == "1.3.0", "a key went back");
        }

        rollout("set", &["50%"]);
        assert_eq!(versions(&root).await, half);
        rollout("promote", &[]);
        assert_eq!(new(&versions(&root).await), KEYS);
    });
}
