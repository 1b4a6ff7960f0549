//! The `text` stage on the command line.

fn main() -> std::process::ExitCode {
    artifacts::cli::main::<text::Text>()
}
