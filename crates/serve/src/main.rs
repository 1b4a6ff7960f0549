//! `serve`: captions over HTTP and gRPC.

fn main() -> std::process::ExitCode {
    caption::give_back_memory();
    serve::main()
}
