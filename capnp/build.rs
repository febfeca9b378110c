//! Compiles the project's own schemas to Rust.

use std::{env, error::Error};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=schema");
    let request = capnpc_embedded::CompileCommand::new()
        .src_prefix("schema")
        .file("schema/bundle.capnp")
        .file("schema/control.capnp")
        .file("schema/error.capnp")
        .file("schema/rpc.capnp")
        .compile()?;
    capnpc::codegen::CodeGenerationCommand::new()
        .output_directory(env::var("OUT_DIR")?)
        .run(request.as_slice())?;
    Ok(())
}
