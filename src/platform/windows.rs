//! The functions of `platform` for Windows.

mod file;
mod identity;
mod pipe;
mod process;
mod shutdown_signals;
pub mod sspi;

pub use file::{
    access, exchange, hard_links, hold, hold_when_free, is_at, is_held, is_own_folder, is_private,
    is_private_file, make_private, private_folder, take_after, unlock,
};
pub use identity::{machine_name, own_name};
pub use pipe::{client_process, create_pipe, is_of_this_user, process_sockets};
pub use process::{
    Family, end_output, has_ended, input_is_ready, interrupt_group, kill, leave_terminal, parent,
    program_name, redirect_errors_to_terminal, spawn_detached, start_time, terminate,
};
pub use shutdown_signals::ShutdownSignals;

/// Encodes text as UTF-16 with a terminating zero.
fn wide(text: impl AsRef<std::ffi::OsStr>) -> Vec<u16> {
    use std::os::windows::ffi::OsStrExt as _;
    text.as_ref().encode_wide().chain([0]).collect()
}
