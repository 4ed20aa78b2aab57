//! Compiles `proto/` to Rust, without protoc: a fresh machine has none.

use std::error::Error;

const FILE: &str = "../proto/cri.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={FILE}");
    let descriptors = protox::compile([FILE], ["../proto"])?;
    tonic_prost_build::configure()
        // The same record has the same bytes.
        .btree_map(".")
        // Records of the state directory hold configurations as kubelet gave them.
        .type_attribute(".", "#[derive(serde::Serialize, serde::Deserialize)]")
        .message_attribute(".", "#[serde(default)]")
        .compile_fds(descriptors)?;
    Ok(())
}
