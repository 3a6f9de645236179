//! Parses the command line, runs one command, maps an error to an exit code.

use std::process::ExitCode;

use lyncsh::cli::{Cli, Command};
use lyncsh::{commands, screen};

fn main() -> ExitCode {
    // A profile may be meant whose name has become a command's.
    let cli = Cli::read(commands::names::report_before_parsing);
    if !matches!(cli.command, Command::Agent) {
        // The agent logs to a file of its own.
        commands::start_log(cli.common.verbose);
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            lyncsh::tell!("lyncsh can't start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut code = runtime.block_on(commands::run(cli)).unwrap_or_else(|report| {
        screen::print_report(&report);
        commands::exit_code(&report)
    });
    if let Some(error) = lyncsh::output::lost() {
        lyncsh::tell!("lyncsh: standard output can't be written: {error}");
        code = ExitCode::FAILURE;
    }
    // A thread that waits for a key or for a keyring must not hold up the end.
    runtime.shutdown_background();
    code
}
