//! Opens a page in the user's browser.

use std::process::{Command, Stdio};

/// Opens a URI in the browser; returns whether the opening command was started. The Windows command is untested.
pub fn open(uri: &str) -> bool {
    let mut command = starter();
    command.arg(uri).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else { return false };
    // Reaps the process, so that it does not become a zombie while this process runs.
    std::thread::spawn(move || child.wait());
    true
}

#[cfg(windows)]
fn starter() -> Command {
    // Unlike `cmd /C start`, this does not interpret an `&` in the URI.
    let mut command = Command::new("rundll32");
    command.arg("url.dll,FileProtocolHandler");
    command
}

#[cfg(target_os = "macos")]
fn starter() -> Command {
    Command::new("open")
}

#[cfg(not(any(windows, target_os = "macos")))]
fn starter() -> Command {
    Command::new("xdg-open")
}
