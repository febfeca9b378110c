//! A row of values for whatever a schema can say, written by one side and read by the other.

use capnp::serialize;
use isolith_capnp::model::Schema;
use isolith_capnp::{javascript, schema};
use serde_json::{Value, json};

use super::reference::Reference;
use super::{isolate, many, pack, path, resegment, script, split, texts, to_json, unhex};
use crate::shard::tests::on_shard;

#[test]
fn every_construct_is_read_as_the_reference_wrote_it_and_the_other_way_round() {
    on_shard(|| async {
        let folder = path("constructs");
        let bytes = schema::compile(&folder, &["constructs.capnp"], &[] as &[&str]).unwrap();
        let schema = Schema::read(&bytes).unwrap();
        let (node, _) = schema.interface("constructs.capnp:Constructs").unwrap();
        let generated = javascript::generate(&schema, &[node.id]).unwrap();
        let ids: serde_json::Map<String, Value> = schema
            .nodes()
            .map(|node| (node.short.clone(), json!(format!("{:016x}", node.id))))
            .collect();
        let ids = Value::from(ids);
        let isolate = isolate().await;
        let run = |input: &Value| {
            let script = script("constructs/constructs.js");
            let test = format!("(rt, generated) => ({script})(rt, generated, {ids}, {input})");
            let output = isolate.try_messages(&generated, &test).unwrap();
            serde_json::from_str::<Value>(&output).unwrap()
        };
        let rows = run(&Value::Null);
        let rows = rows.as_array().unwrap();
        assert!(rows.len() > 30, "{}", rows.len());

        let mut read = Vec::new();
        for row in rows {
            let [ty, text] = ["type", "text"].map(|part| row[part].as_str().unwrap());
            let reference = Reference {
                folder: &folder,
                file: "constructs.capnp",
                ty,
            };
            // In the reference's own form: with what has a default, or without.
            let own = reference.convert("text:text", format!("{text}\n").into_bytes());
            let segments: Vec<Vec<u8>> = texts(&row["message"]).map(unhex).collect();
            let (mut packed, mut plain) = (Vec::new(), Vec::new());
            pack(&segments, &mut packed);
            serialize::write_message(&mut plain, &resegment(&segments, 1)).unwrap();
            for (formats, bytes) in [("packed:text", packed), ("binary:text", plain)] {
                let found = reference.convert(formats, bytes);
                assert_eq!(
                    String::from_utf8_lossy(&found),
                    String::from_utf8_lossy(&own),
                    "{formats} {row}"
                );
            }

            let one = reference.convert("text:packed", format!("{text}\n").into_bytes());
            let one = split(&one).pop().unwrap();
            read.push(json!([to_json(&one), to_json(&many(&one, 1))]));
        }
        run(&Value::from(read));
    });
}
