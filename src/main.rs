//! The `rollgate` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    // The one backend for all TLS; a second one would make every first use panic.
    if rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .is_err()
    {
        return ExitCode::FAILURE;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => {
            let code = runtime.block_on(rollgate::cli::run(std::env::args_os()));
            // A thread that still waits for a terminal's answer must not keep the process.
            runtime.shutdown_background();
            code
        }
        Err(_error) => ExitCode::FAILURE,
    }
}
