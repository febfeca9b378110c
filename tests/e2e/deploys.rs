//! `isolith deploy`: requests stay on the version set that admitted them, and what does not fit is
//! refused.

use serde_json::{Value, json};

use crate::support::bundles::{bundle, bundles};
use crate::support::http1::{Reply, Request};
use crate::support::server::Server;
use crate::support::{case, eventually, root};

const SHOP: [&str; 4] = [
    "services/examples/demo/frontend",
    "services/examples/demo/auth-1",
    "services/examples/demo/catalog",
    "services/examples/demo/cart",
];
const AUTH_2: &str = "services/examples/demo/auth-2";
const LAB: [&str; 2] = ["tests/cases/lab/front", "tests/cases/lab/greeter"];

/// Requests on each side of a deployment.
const REQUESTS: usize = 40;
/// How long the shop's bank takes for a request that is to outlive a deployment, in milliseconds.
const HOLD_MS: u32 = 10_000;

/// Somebody who has signed in and put something into a cart.
struct Shopper {
    cookies: String,
}

impl Shopper {
    fn new(server: &Server) -> Self {
        let post = |target: &str| Request::new("POST", target);
        let credentials = json!({ "user": "ada", "password": "correct horse" });
        let signed_in = server.send(&post("/api/login").json(&credentials));
        assert_eq!(signed_in.status, 200, "{}", signed_in.text());
        let session = cookie(&signed_in);
        let item = json!({ "productId": "celadon-mug", "quantity": 2 });
        let request = post("/api/cart/items")
            .header("cookie", &session)
            .json(&item);
        let filled = server.send(&request);
        assert_eq!(filled.status, 200, "{}", filled.text());
        Shopper {
            cookies: format!("{session}; {}", cookie(&filled)),
        }
    }

    /// Buys the cart; asks auth before and after the bank, and the cart service asks it too.
    fn checkout(&self, server: &Server, bank_ms: u32) -> Reply {
        let request = Request::new("POST", format!("/api/checkout?delayMs={bank_ms}"));
        server.send(&request.header("cookie", &self.cookies).json(&json!({})))
    }
}

/// What a checkout says of itself.
#[derive(Debug, PartialEq, Eq)]
struct Evidence {
    auth: [String; 3],
    set: String,
    epoch: String,
}

impl Evidence {
    fn of(reply: &Reply) -> Self {
        assert_eq!(reply.status, 201, "{}", reply.text());
        let order = reply.json();
        let text = |key: &str| order[key].as_str().unwrap().to_owned();
        Evidence {
            auth: ["authorizedBy", "cartCheckedBy", "confirmedBy"].map(text),
            set: reply.header("isolith-set").unwrap().to_owned(),
            epoch: reply.header("isolith-epoch").unwrap().to_owned(),
        }
    }

    fn expected(version: &str, set: &str, epoch: &str) -> Self {
        Evidence {
            auth: [version; 3].map(str::to_owned),
            set: set.to_owned(),
            epoch: epoch.to_owned(),
        }
    }
}

#[test]
fn requests_that_are_open_during_a_deploy_finish_on_the_version_they_began_with() {
    let parts = bundles(&[&SHOP[..], &[AUTH_2]].concat());
    let (next, parts) = parts.split_last().unwrap();
    let server = Server::start(&root().join("services/examples/demo/app.toml"), parts);
    let shopper = Shopper::new(&server);
    let first = set_in_force(&server.status());

    let (held, later, second) = std::thread::scope(|scope| {
        let held: Vec<_> = (0..REQUESTS)
            .map(|_| scope.spawn(|| shopper.checkout(&server, HOLD_MS)))
            .collect();
        eventually("every held checkout is at the bank", || {
            (server.log().matches("asking the bank").count() == REQUESTS).then_some(())
        });
        let said = server.deploy(next).done();
        assert!(said.starts_with("deployed: epoch 2, set sha256:"), "{said}");

        // All of them were open when the new set was in force.
        let status = server.status();
        let second = set_in_force(&status);
        assert_ne!(first, second);
        let old = find_set(&status, &first).unwrap();
        assert_eq!(
            (&old["state"], &old["weight"]),
            (&json!("draining"), &json!(0))
        );
        assert_eq!(old["pins"], REQUESTS, "{status:#}");

        let later: Vec<_> = (0..REQUESTS)
            .map(|_| shopper.checkout(&server, 1))
            .collect();
        let held: Vec<_> = held
            .into_iter()
            .map(|request| request.join().unwrap())
            .collect();
        (held, later, second)
    });
    for reply in &held {
        assert_eq!(
            Evidence::of(reply),
            Evidence::expected("1.4.0", short(&first), "1")
        );
    }
    for reply in &later {
        assert_eq!(
            Evidence::of(reply),
            Evidence::expected("2.0.0", short(&second), "2")
        );
    }

    // P5: once nothing holds the old set, it goes, and auth 1.4.0 is unloaded.
    let status = eventually("the old set has drained", || {
        let status = server.status();
        let unloaded = bundle_status(&status, "auth", "1.4.0")["isolates"] == 0;
        (find_set(&status, &first).is_none() && unloaded).then_some(status)
    });
    assert_eq!(set_in_force(&status), second);
    assert_eq!(status["epoch"], 2);
    assert_eq!(bundle_status(&status, "auth", "2.0.0")["state"], "running");
    assert_eq!(status["requests_in_flight"], 0);
}

#[test]
fn an_older_version_or_the_same_one_changes_nothing() {
    let parts = bundles(&LAB);
    let server = Server::start(&case("lab/app.toml"), &parts);
    server.deploy(&bundle("tests/cases/refused/next")).done();
    let before = server.get("/hello?name=Ada");
    assert_eq!(before.json()["servedBy"], "1.1.0");
    // 1.0.0 is already known, and 1.1.0 already in force.
    server.deploy(&parts[1]).done();
    server.deploy(&bundle("tests/cases/refused/next")).done();
    let after = server.get("/hello?name=Ada");
    assert_eq!(after.header("isolith-epoch"), Some("2"));
    assert_eq!(after.header("isolith-set"), before.header("isolith-set"));
}

#[test]
fn a_bundle_that_throws_while_loading_is_refused() {
    let reasons = [
        "greeter@1.1.0: it throws while loading",
        "Error: there are no settings",
        "src/main.ts:3:9",
    ];
    expect_refusal("throws", &reasons);
}

#[test]
fn a_bundle_whose_import_nothing_satisfies_is_refused() {
    expect_refusal("unsatisfied", &["greeter@1.1.0", "weather", "^3"]);
}

#[test]
fn a_bundle_that_lacks_a_method_its_callers_know_is_refused() {
    expect_refusal(
        "method-removed",
        &[
            "greeter@1.1.0",
            "front@1.0.0",
            "import GREETER",
            "^1",
            "count",
        ],
    );
}

#[test]
fn a_bundle_with_a_field_of_another_type_is_refused() {
    let reasons = [
        "greeter@1.1.0",
        "front@1.0.0",
        "import GREETER",
        "^1",
        "greeting.length",
    ];
    expect_refusal("field-changed", &reasons);
}

#[test]
fn a_bundle_of_the_same_version_with_other_code_is_refused() {
    let parts = bundles(&LAB);
    let server = Server::start(&case("lab/app.toml"), &parts);
    server.deploy(&bundle("tests/cases/refused/next")).done();
    let text = server
        .deploy(&bundle("tests/cases/refused/method-removed"))
        .refused();
    assert!(
        text.contains("refused: ") && text.contains("greeter@1.1.0"),
        "{text}"
    );
    assert_eq!(server.get("/hello?name=Ada").json()["servedBy"], "1.1.0");
}

#[test]
fn an_application_is_not_served_without_all_that_it_needs() {
    let app = case("lab/app.toml");
    let temp = tempfile::tempdir().unwrap();
    std::fs::create_dir(temp.path().join("dist")).unwrap();
    std::fs::copy(&app, temp.path().join("app.toml")).unwrap();
    std::fs::copy(bundle(LAB[0]), temp.path().join("dist/front.isolith")).unwrap();
    for command in ["check", "serve"] {
        let text = crate::support::command::run_in(temp.path(), [command, "app.toml"]).refused();
        assert!(
            text.contains("front@1.0.0") && text.contains("greeter"),
            "{text}"
        );
    }
}

/// What its requests may use is what others may have to wait for: the application has the last word.
#[test]
fn a_manifest_that_sets_a_limit_too_high_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let dist = temp.path().join("dist");
    std::fs::create_dir(&dist).unwrap();
    for name in ["auth", "front"] {
        let built = bundle(&format!("tests/cases/capabilities/{name}"));
        std::fs::copy(built, dist.join(format!("{name}.isolith"))).unwrap();
    }
    let app = std::fs::read_to_string(case("capabilities/app.toml")).unwrap();
    let with = |limits: &str| {
        let text = format!("{app}\n[limits]\n{limits}\n");
        std::fs::write(temp.path().join("app.toml"), text).unwrap();
    };
    with("cpu_ms_per_request_max = 59999");
    for command in ["check", "serve"] {
        let text = crate::support::command::run_in(temp.path(), [command, "app.toml"]).refused();
        for part in [
            "@1.0.0: its manifest sets cpu_ms_per_request = 60000, and the application allows 59999",
            "raise cpu_ms_per_request_max under [limits]",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
    with("cpu_ms_per_request_max = 60000");
    crate::support::command::run_in(temp.path(), ["check", "app.toml"]).done();
}

/// Deploys `tests/cases/refused/NAME` over a running lab: it is refused with these words, and
/// everything goes on as before.
fn expect_refusal(name: &str, reasons: &[&str]) {
    let server = Server::start(&case("lab/app.toml"), &bundles(&LAB));
    let mut open = server.connect();
    let hello = Request::new("GET", "/hello?name=Ada");
    let before = open.send(&hello);
    assert_eq!(before.status, 200, "{}", before.text());
    let status = server.status();

    let text = server
        .deploy(&bundle(&format!("tests/cases/refused/{name}")))
        .refused();
    assert!(text.starts_with("error: refused: "), "{text}");
    for reason in reasons {
        assert!(text.contains(reason), "{reason:?} is not in {text}");
    }

    // On the connection that was open before, and on a new one.
    for after in [open.send(&hello), server.send(&hello)] {
        assert_eq!(after.json(), before.json());
        assert_eq!(after.header("isolith-epoch"), Some("1"));
        assert_eq!(after.header("isolith-set"), before.header("isolith-set"));
    }
    let after = server.status();
    assert_eq!(after["sets"].as_array().unwrap().len(), 1);
    assert_eq!(set_in_force(&after), set_in_force(&status));
    // A refused bundle leaves nothing behind.
    assert_eq!(names(&after), names(&status));
}

fn cookie(reply: &Reply) -> String {
    let header = reply.header("set-cookie").expect("the reply sets a cookie");
    header.split(';').next().unwrap().to_owned()
}

/// The digest of the only set that new requests get.
fn set_in_force(status: &Value) -> String {
    let sets = status["sets"].as_array().unwrap();
    let serving: Vec<_> = sets
        .iter()
        .filter(|set| set["state"] == "serving")
        .collect();
    assert_eq!(serving.len(), 1, "{status:#}");
    assert_eq!(serving[0]["weight"], 10_000);
    serving[0]["digest"].as_str().unwrap().to_owned()
}

fn find_set<'s>(status: &'s Value, digest: &str) -> Option<&'s Value> {
    status["sets"]
        .as_array()
        .unwrap()
        .iter()
        .find(|set| set["digest"] == digest)
}

fn bundle_status<'s>(status: &'s Value, service: &str, version: &str) -> &'s Value {
    let bundles = status["bundles"].as_array().unwrap();
    let is_it = |bundle: &&Value| bundle["service"] == service && bundle["version"] == version;
    bundles.iter().find(is_it).unwrap()
}

fn names(status: &Value) -> Vec<String> {
    let bundles = status["bundles"].as_array().unwrap().iter();
    bundles
        .map(|bundle| format!("{}@{}", bundle["service"], bundle["version"]))
        .collect()
}

/// A digest as response headers have it.
fn short(digest: &str) -> &str {
    &digest["sha256:".len()..][..12]
}
