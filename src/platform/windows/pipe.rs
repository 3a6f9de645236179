//! Named pipes that only their owner can open.

use std::io;
use std::os::windows::io::AsRawHandle;
use std::path::{Path, PathBuf};
use std::ptr::null_mut;

use tokio::net::windows::named_pipe::{NamedPipeServer, ServerOptions};
use windows_sys::Win32::Foundation::LocalFree;
use windows_sys::Win32::Security::Authorization::{GetSecurityInfo, SE_KERNEL_OBJECT};
use windows_sys::Win32::Security::OWNER_SECURITY_INFORMATION;
use windows_sys::Win32::System::Pipes::GetNamedPipeClientProcessId;

use super::identity::{User, sid_text};
use super::process::{program_name, start_time};

/// Makes an instance of a pipe for the user alone, on this machine alone. `first`: fails where the
/// pipe is there already, whoever made it.
pub fn create_pipe(path: &Path, first: bool) -> io::Result<NamedPipeServer> {
    let descriptor = User::of_this_process()?.pipe()?;
    let mut attributes = descriptor.attributes();
    let mut options = ServerOptions::new();
    options.first_pipe_instance(first).reject_remote_clients(true);
    // SAFETY: the attributes and the descriptor they point to live until the call is over.
    unsafe { options.create_with_security_attributes_raw(path, (&raw mut attributes).cast()) }
}

/// The process that has connected to a pipe.
pub fn client_process(pipe: &NamedPipeServer) -> Option<u32> {
    let mut process = 0;
    // SAFETY: the handle is open as long as `pipe` is borrowed.
    let done = unsafe { GetNamedPipeClientProcessId(pipe.as_raw_handle(), &mut process) };
    (done != 0).then_some(process)
}

/// Whether a pipe was made by the same user: its owner can't be anybody who may not act as them.
pub fn is_of_this_user(pipe: &impl AsRawHandle) -> io::Result<bool> {
    let (mut owner, mut descriptor) = (null_mut(), null_mut());
    // SAFETY: the handle is open as long as `pipe` is borrowed; `owner` points into `descriptor`, which
    // is freed after its last use.
    let owner = unsafe {
        let code = GetSecurityInfo(
            pipe.as_raw_handle(),
            SE_KERNEL_OBJECT,
            OWNER_SECURITY_INFORMATION,
            &mut owner,
            null_mut(),
            null_mut(),
            null_mut(),
            &mut descriptor,
        );
        if code != 0 {
            return Err(io::Error::from_raw_os_error(code.cast_signed()));
        }
        let owner = sid_text(owner);
        LocalFree(descriptor);
        owner?
    };
    Ok(owner == User::of_this_process()?.sid)
}

/// The pipe on which Windows PowerShell, which can't be told a pipe's name, looks for this process by
/// its id (RemoteSessionNamedPipe.cs, `NamedPipeUtils.CreateProcessPipeName`).
pub fn process_sockets() -> Vec<PathBuf> {
    let process = std::process::id();
    let (Some(started), Some(name)) = (start_time(process), program_name(process)) else { return Vec::new() };
    vec![PathBuf::from(format!(r"\\.\pipe\PSHost.{started}.{process}.DefaultAppDomain.{name}"))]
}
