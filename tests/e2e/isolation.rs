//! Services side by side in one process, each with its own packages and its own built-ins.

use serde_json::json;

use crate::support::bundles::bundles;
use crate::support::case;
use crate::support::http1::Request;
use crate::support::server::Server;

#[test]
fn bundles_with_zod_3_and_zod_4_and_one_that_patches_built_ins_do_not_notice_each_other() {
    let folders =
        ["front", "three", "four", "patcher"].map(|name| format!("tests/cases/majors/{name}"));
    let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
    let server = Server::start(&case("majors/app.toml"), &bundles(&folders));
    let expected = json!({
        // It does see its own replacements.
        "patcher": {
            "doubled": [-2, -1], "complaint": "none: it has no zod",
            "nativeMap": false, "nativeParse": false,
        },
        "three": {
            "doubled": [2, 4, 6], "complaint": "Expected string, received number",
            "nativeMap": true, "nativeParse": true,
        },
        "four": {
            "doubled": [2, 4, 6], "complaint": "Invalid input: expected string, received number",
            "nativeMap": true, "nativeParse": true,
        },
        "own": [2, 4, 6],
    });
    for _ in 0..3 {
        let reply = server.send(&Request::new("POST", "/").body("[1, 2, 3]"));
        assert_eq!(reply.status, 200, "{}\n{}", reply.text(), server.log());
        assert_eq!(reply.json(), expected);
    }
}
