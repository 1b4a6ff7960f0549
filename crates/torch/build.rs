//! Compiles the one function that libtorch's Rust binding lacks, against the headers beside the library.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-changed=cpp/matmul.cpp");
    // Published by torch-sys.
    let Some(library) = env::var_os("DEP_TCH_LIBTORCH_LIB").map(PathBuf::from) else {
        println!("cargo:error=torch-sys did not say where libtorch is");
        return;
    };
    let include = library.with_file_name("include");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .warnings(false)
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .file("cpp/matmul.cpp")
        .compile("captioning_matmul");
}
