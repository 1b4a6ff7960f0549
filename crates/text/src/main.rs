//! The `text` stage on the command line.

fn main() -> std::process::ExitCode {
    stage::cli::main::<text::Text>()
}
