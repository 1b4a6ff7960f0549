//! `caption`: captions for photos and videos on the command line.

mod cli;

/// glibc's allocator gives large tensors back to the system after each batch; this one keeps them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::main()
}
