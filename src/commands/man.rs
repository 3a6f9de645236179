//! `lyncsh man`: manual pages, generated from the declaration of the command line.

use std::path::Path;

use clap::CommandFactory as _;
use clap_mangen::Man;
use miette::{IntoDiagnostic as _, WrapErr as _};

use super::usage::usage;
use crate::cli::{Cli, Work};
use crate::output;

/// Prints the page of a command, or writes all pages into a folder.
pub fn run(words: &[String], folder: Option<&Path>) -> miette::Result<()> {
    let command = declaration();
    if let Some(folder) = folder {
        std::fs::create_dir_all(folder)
            .and_then(|()| write_all(&command, folder))
            .into_diagnostic()
            .wrap_err_with(|| format!("cannot write the manual pages into {}", folder.display()))?;
        return Ok(());
    }
    let found = words.iter().try_fold(&command, |command, word| command.find_subcommand(word));
    let Some(command) = found else {
        let name = words.join(" ");
        return Err(usage!(help = "list the commands with `lyncsh help`", "there is no command '{name}'"));
    };
    output::print_data(&page(command).into_diagnostic()?);
    Ok(())
}

/// Returns the declaration of all commands; that of lyncsh has the options of `lyncsh NAME` as well.
fn declaration() -> clap::Command {
    let command = Cli::declaration();
    let known: Vec<String> = command.get_arguments().map(|arg| arg.get_id().to_string()).collect();
    let work = Work::command();
    let own = work.get_opts().filter(|arg| !known.contains(&arg.get_id().to_string())).cloned();
    let mut command = command.args(own.collect::<Vec<_>>());
    command.build();
    command
}

fn write_all(command: &clap::Command, folder: &Path) -> std::io::Result<()> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    std::fs::write(folder.join(format!("{name}.1")), page(command)?)?;
    command
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .try_for_each(|command| write_all(command, folder))
}

/// Returns a page as roff.
fn page(command: &clap::Command) -> std::io::Result<String> {
    let man =
        Man::new(command.clone()).source(concat!("lyncsh ", env!("CARGO_PKG_VERSION"))).manual("lyncsh");
    let mut page = Vec::new();
    man.render(&mut page)?;
    // The text after the help is examples.
    Ok(String::from_utf8_lossy(&page).replace("\n.SH EXTRA\n", "\n.SH EXAMPLES\n"))
}
