//! Compiles schemas of cases to Rust: for the client of the tests, and for the native service.

use std::{env, error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let out = env::var("OUT_DIR")?;
    compile(&out, "cases/rpc/auth/schema", &["auth.capnp"])?;
    let native = "cases/native/front/schema";
    let request = compile(&out, native, &["ledger.capnp", "rates.capnp"])?;
    fs::write(Path::new(&out).join("native.request"), request)?;
    Ok(())
}

fn compile(out: &str, folder: &str, files: &[&str]) -> Result<Vec<u8>, Box<dyn Error>> {
    println!("cargo:rerun-if-changed={folder}");
    let mut command = capnpc_embedded::CompileCommand::new();
    command.src_prefix(folder);
    for file in files {
        command.file(format!("{folder}/{file}"));
    }
    let request = command.compile()?;
    capnpc::codegen::CodeGenerationCommand::new()
        .output_directory(out)
        .run(request.as_slice())?;
    Ok(request)
}
