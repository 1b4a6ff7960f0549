//! cargo-fuzz sets RUSTFLAGS, which hides those of `.cargo/config.toml`: the place of libtorch is told again here.

fn main() {
    // From fuzz/target/<triple>/release.
    println!("cargo::rustc-link-arg-bins=-Wl,-rpath,$ORIGIN/../../../../.libtorch/lib");
    println!("cargo::rerun-if-changed=build.rs");
}
