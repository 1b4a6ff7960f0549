//! Compiles what libtorch's Rust binding lacks, against the headers beside the library.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-changed=cpp");
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
        // Loops over numbers, in tests as well; vectors need leave to compute what no branch asks for.
        .opt_level(3)
        .flag_if_supported("-fno-math-errno")
        .flag_if_supported("-fno-trapping-math")
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        // After libtorch's own: names of what its headers want of gloo's, which its packages lack.
        .include("cpp/gloo")
        .define("USE_DISTRIBUTED", None)
        .define("USE_C10D_GLOO", None)
        .files(["cpp/products.cpp", "cpp/fused.cpp", "cpp/distributed/c10d.cpp", "cpp/distributed/nccl.cpp"])
        .compile("captioning_libtorch");
}
