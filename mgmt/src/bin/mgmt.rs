//! The program `mgmt`, for people who write no Rust.

fn main() -> mgmt::ExitCode {
    mgmt::cli::stock()
}
