//! Compiles the schema of a case to Rust, for the client of the tests.

use std::{env, error::Error};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=cases/rpc/auth/schema");
    let request = capnpc_embedded::CompileCommand::new()
        .src_prefix("cases/rpc/auth/schema")
        .file("cases/rpc/auth/schema/auth.capnp")
        .compile()?;
    capnpc::codegen::CodeGenerationCommand::new()
        .output_directory(env::var("OUT_DIR")?)
        .run(request.as_slice())?;
    Ok(())
}
