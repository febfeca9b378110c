//! The project's own schemas, through the code generated for them.

use capnp::{message, serialize};

use crate::{bundle_capnp, control_capnp, error_capnp};

#[test]
fn a_bundle_is_read_in_place_from_its_envelope() {
    let mut content = message::Builder::new_default();
    let mut bundle = content.init_root::<bundle_capnp::bundle::Builder<'_>>();
    bundle.set_service("auth");
    let mut var = bundle.init_vars(1).get(0);
    var.set_name("PAGE_SIZE");
    var.set_default("20");
    let mut file = message::Builder::new_default();
    let mut envelope = file.init_root::<bundle_capnp::envelope::Builder<'_>>();
    envelope.set_content(&serialize::write_message_to_words(&content));
    let bytes = serialize::write_message_to_words(&file);

    let file = serialize::read_message(&bytes[..], message::ReaderOptions::new()).unwrap();
    let envelope = file
        .get_root::<bundle_capnp::envelope::Reader<'_>>()
        .unwrap();
    let content = envelope.get_content().unwrap();
    // Data begins at a word, so the inner message needs no copy if the file is aligned.
    assert_eq!(content.as_ptr().addr() % 8, 0);
    let content = serialize::read_message(content, message::ReaderOptions::new()).unwrap();
    let bundle = content
        .get_root::<bundle_capnp::bundle::Reader<'_>>()
        .unwrap();
    assert_eq!(bundle.get_service().unwrap(), "auth");
    let var = bundle.get_vars().unwrap().get(0);
    let bundle_capnp::var::Default(value) = var.which().unwrap() else {
        panic!("required")
    };
    assert_eq!(value.unwrap(), "20");
    assert!(!bundle.has_schema() && !bundle.get_http());
}

#[test]
fn a_call_error_keeps_its_kind_inside_a_reply() {
    let mut message = message::Builder::new_default();
    let reply = message.init_root::<control_capnp::call_reply::Builder<'_>>();
    let mut error = reply.init_error();
    error.set_kind(error_capnp::call_error::Kind::PinnedVersionGone);
    error.set_version("1.4.0");
    let reply = message
        .get_root_as_reader::<control_capnp::call_reply::Reader<'_>>()
        .unwrap();
    let control_capnp::call_reply::Error(error) = reply.which().unwrap() else {
        panic!("ok")
    };
    let error = error.unwrap();
    assert_eq!(
        error.get_kind().unwrap(),
        error_capnp::call_error::Kind::PinnedVersionGone
    );
    assert_eq!(error.get_version().unwrap(), "1.4.0");
}
