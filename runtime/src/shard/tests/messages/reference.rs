//! The reference implementation: the C++ `capnp` tool, as the wasm module that the crate with the
//! schema compiler brings. Its `convert` reads and writes whole streams of messages of any schema,
//! through the dynamic API of the C++ library, so that nothing has to be generated or installed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use wasmi_wasi::WasiCtxBuilder;
use wasmi_wasi::wasi_common::pipe::{ReadPipe, WritePipe};

/// The tool for messages of one type.
pub(super) struct Reference<'a> {
    /// What the tool sees of the file system.
    pub(super) folder: &'a Path,
    /// The schema's name in it.
    pub(super) file: &'a str,
    /// Such as `User` or `Pair(Text, User)`.
    pub(super) ty: &'a str,
}

impl Reference<'_> {
    /// Converts a stream of messages, as in `capnp convert packed:json`. Panics if it refuses one.
    pub(super) fn convert(&self, formats: &str, input: Vec<u8>) -> Vec<u8> {
        let file = format!("/{}", self.file);
        let arguments = [
            "capnp",
            "convert",
            "--short",
            "--no-standard-import",
            "--import-path=/",
            formats,
            &file,
            self.ty,
        ];
        run(self.folder, &arguments, input)
    }
}

fn run(folder: &Path, arguments: &[&str], input: Vec<u8>) -> Vec<u8> {
    let arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
    let stdout = WritePipe::new_in_memory();
    let stderr = WritePipe::new_in_memory();
    let folder = cap_std::fs::Dir::open_ambient_dir(folder, cap_std::ambient_authority()).unwrap();
    let mut builder = WasiCtxBuilder::new();
    builder
        .stdin(Box::new(ReadPipe::from(input)))
        .stdout(Box::new(stdout.clone()))
        .stderr(Box::new(stderr.clone()))
        .env("PWD", "/")
        .unwrap()
        .args(&arguments)
        .unwrap()
        .preopened_dir(folder, "/")
        .unwrap();
    let (engine, module) = module();
    let mut linker = wasmi::Linker::new(engine);
    wasmi_wasi::add_to_linker(&mut linker, |context| context).unwrap();
    let mut store = wasmi::Store::new(engine, builder.build());
    let instance = linker.instantiate_and_start(&mut store, module).unwrap();
    let start = instance.get_typed_func::<(), ()>(&store, "_start").unwrap();
    let result = start.call(&mut store, ());
    drop(store);
    let stderr = stderr.try_into_inner().unwrap().into_inner();
    let complaint = String::from_utf8_lossy(&stderr);
    match result.as_ref().map_err(wasmi::Error::i32_exit_status) {
        Ok(()) | Err(Some(0)) => assert!(complaint.is_empty(), "{complaint}"),
        _ => panic!("the reference refuses: {result:?} {complaint}"),
    }
    stdout.try_into_inner().unwrap().into_inner()
}

/// Compiled once.
fn module() -> &'static (wasmi::Engine, wasmi::Module) {
    static MODULE: OnceLock<(wasmi::Engine, wasmi::Module)> = OnceLock::new();
    MODULE.get_or_init(|| {
        let mut config = wasmi::Config::default();
        // Its parser of JSON recurses deeper than the default allows.
        config.set_max_recursion_depth(100_000);
        config.set_max_stack_height(64 << 20);
        let engine = wasmi::Engine::new(&config);
        let bytes = std::fs::read(tool()).unwrap();
        let module = wasmi::Module::new(&engine, &bytes).unwrap();
        (engine, module)
    })
}

/// The module lies in the sources of the crate, wherever cargo keeps them.
fn tool() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages
        .iter()
        .find(|p| p["name"] == "capnpc-embedded")
        .unwrap();
    let manifest = Path::new(package["manifest_path"].as_str().unwrap());
    manifest.with_file_name("assets").join("capnp.wasm")
}
