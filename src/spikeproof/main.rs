//! Parse, start the runtime, print what `cli` returns, map the outcome to an exit code; nothing
//! else.

use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    // One TLS provider in the whole process: two of them panic at the first handshake.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            drop(writeln!(
                std::io::stderr(),
                "spikeproof: could not start: {error}"
            ));
            return ExitCode::from(4);
        }
    };
    let answer = runtime.block_on(async {
        spikeproof::cli::survive_full_files();
        spikeproof::cli::run(std::env::args_os()).await
    });
    // Nothing of ours is under way any more; a blocked read of a closed terminal must not hold the
    // exit.
    runtime.shutdown_background();
    // The output of every command passes here, and a generator's last words: without secrets, and
    // without characters that act on a terminal or a CI system.
    let (stdout, stderr) = answer.printed();
    drop(std::io::stdout().write_all(stdout.as_bytes()));
    drop(std::io::stderr().write_all(stderr.as_bytes()));
    ExitCode::from(answer.code)
}
