//! What other people's code may come in, by `deny.toml`.

use std::process::Command;

#[test]
fn every_dependency_has_a_licence_and_a_source_that_we_take() {
    if !needs::program("cargo-deny", &["--version"]) {
        return;
    }
    let mut deny = Command::new("cargo-deny");
    deny.args(["--workspace", "--locked", "check", "bans", "licenses", "sources"]);
    let output = deny.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
