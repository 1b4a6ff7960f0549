//! Manifests: an error, or a manifest that survives being written.

#![no_main]

use std::path::Path;

use artifacts::manifest::Manifest;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(manifest) = serde_json::from_slice::<Manifest>(bytes) else { return };
    let written = serde_json::to_vec(&manifest).expect("a manifest is JSON");
    let again: Manifest = serde_json::from_slice(&written).expect("what was written is readable");
    assert_eq!(serde_json::to_vec(&again).expect("a manifest is JSON"), written);
    assert!(manifest.outputs.iter().all(|output| manifest.hash_of(Path::new("a"), &output.file).is_ok()));
    manifest.hash_of_all();
});
