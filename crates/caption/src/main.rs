//! `caption`: captions for photos and videos on the command line.

mod cli;

fn main() -> std::process::ExitCode {
    caption::give_back_memory();
    cli::main()
}
