//! Compiles `proto/` to Rust, without protoc: a fresh machine has none.

use std::error::Error;

const DIRECTORY: &str = "../proto";
/// The services; what they need is imported.
const FILES: [&str; 2] = ["image.proto", "runtime.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={DIRECTORY}");
    let descriptors = protox::compile(FILES, [DIRECTORY])?;
    tonic_prost_build::configure()
        // The same record has the same bytes.
        .btree_map(".")
        // Records of the state directory hold configurations as kubelet gave them.
        .type_attribute(".", "#[derive(serde::Serialize, serde::Deserialize)]")
        .message_attribute(".", "#[serde(default)]")
        // It holds passwords: src/proto.rs prints it.
        .skip_debug(["AuthConfig"])
        .compile_fds(descriptors)?;
    Ok(())
}
