//! Compiles a user's schema files, with the compiler that is a wasm module inside a crate.

mod diagnostics;
#[cfg(test)]
mod tests;

use std::{
    io,
    path::{Path, PathBuf},
};

use capnp::{message, schema_capnp::code_generator_request, serialize};
pub use diagnostics::Diagnostic;

/// Why schema files do not compile.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The files have mistakes; one per line.
    #[error("{}", diagnostics::lines(.0))]
    Invalid(Vec<Diagnostic>),
    /// A file cannot be read.
    #[error("schema file `{}` cannot be read: {source}; check the path in the manifest", file.display())]
    Unreadable {
        /// The file, as it was named.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The compiler itself failed.
    #[error("the schema compiler failed: {0}")]
    Compiler(String),
    /// The compiler's output cannot be read.
    #[error("the schema compiler's output cannot be read: {0}")]
    Output(#[from] capnp::Error),
}

/// Compiles `files` (relative to `root`) to the bytes of a `CodeGeneratorRequest`.
///
/// Imports are found relative to the importing file; those that begin with `/` in `root`, then in
/// `import_paths`, then among the standard schemas. Equal inputs give equal bytes, wherever `root`
/// is: names are relative to it and comments are left out. Takes about 50 ms.
///
/// The compiler writes its complaints to file descriptor 2, which is led to a temporary file
/// meanwhile; one compilation runs at a time, and what others wrote there in the meantime is passed
/// on afterwards. So this is for tools, not for a server's request path.
///
/// # Errors
/// [`SchemaError::Invalid`] with file, line and column for each mistake in the files.
pub fn compile(
    root: &Path,
    files: &[impl AsRef<Path>],
    import_paths: &[impl AsRef<Path>],
) -> Result<Vec<u8>, SchemaError> {
    let resolve = |path: &Path| {
        let unreadable = |source| SchemaError::Unreadable {
            file: path.to_owned(),
            source,
        };
        root.join(path).canonicalize().map_err(unreadable)
    };
    let root = resolve(Path::new(""))?;
    let mut command = capnpc_embedded::CompileCommand::new();
    command.src_prefix(&root).import_path(&root);
    let mut prefixes = vec![root.clone()];
    for path in import_paths {
        let path = resolve(path.as_ref())?;
        command.src_prefix(&path).import_path(&path);
        prefixes.push(path);
    }
    for file in files {
        command.file(resolve(file.as_ref())?);
    }
    let (result, output) = diagnostics::capture(|| command.compile())
        .map_err(|e| SchemaError::Compiler(format!("its messages cannot be caught: {e}")))?;
    let (found, rest) = diagnostics::parse(&output, &prefixes);
    match result {
        Ok(bytes) => {
            diagnostics::pass_on(&rest);
            Ok(normalize(&bytes)?)
        }
        Err(_) if !found.is_empty() => {
            diagnostics::pass_on(&rest);
            Err(SchemaError::Invalid(found))
        }
        Err(error) => Err(SchemaError::Compiler(format!("{error}\n{}", rest.trim()))),
    }
}

/// Leaves out comments and positions in the files, so that only a change of meaning changes bytes.
///
/// # Errors
/// If `bytes` are no `CodeGeneratorRequest` message.
pub fn normalize(bytes: &[u8]) -> Result<Vec<u8>, capnp::Error> {
    let compiled = serialize::read_message(bytes, message::ReaderOptions::new())?;
    let request = compiled.get_root::<code_generator_request::Reader<'_>>()?;
    let mut kept = message::Builder::new_default();
    let mut target = kept.init_root::<code_generator_request::Builder<'_>>();
    target.set_capnp_version(request.get_capnp_version()?)?;
    let nodes = request.get_nodes()?;
    let mut list = target.reborrow().init_nodes(nodes.len());
    for (index, node) in (0..).zip(nodes) {
        // Elements have the size that this crate's schema.capnp gives them: newer fields, which
        // hold positions, are cut off.
        list.set_with_caveats(index, node)?;
    }
    let files = request.get_requested_files()?;
    let mut list = target.init_requested_files(files.len());
    for (index, file) in (0..).zip(files) {
        let mut kept = list.reborrow().get(index);
        kept.set_id(file.get_id());
        kept.set_filename(file.get_filename()?);
        kept.set_imports(file.get_imports()?)?;
    }
    canonical(kept.get_root_as_reader::<code_generator_request::Reader<'_>>()?)
}

/// Copies a message into the canonical form: equal content, equal bytes.
fn canonical(root: code_generator_request::Reader<'_>) -> Result<Vec<u8>, capnp::Error> {
    let words = u32::try_from(root.total_size()?.word_count + 1).unwrap_or(u32::MAX);
    let allocator = message::HeapAllocator::new().first_segment_words(words);
    let mut message = message::Builder::new(allocator);
    message.set_root_canonical(root)?;
    Ok(serialize::write_message_to_words(&message))
}
