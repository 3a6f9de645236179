//! Named pipes that only their owner can open.

use std::io;
use std::os::windows::io::AsRawHandle;
use std::path::{Path, PathBuf};
use std::ptr::null_mut;

use tokio::net::windows::named_pipe::{NamedPipeServer, ServerOptions};
use windows_sys::Win32::Security::Authorization::{GetSecurityInfo, SE_KERNEL_OBJECT};
use windows_sys::Win32::Security::OWNER_SECURITY_INFORMATION;
use windows_sys::Win32::System::Pipes::GetNamedPipeClientProcessId;

use super::identity::{self, User};
use super::process::{program_name, start_time};

/// Creates a private, local instance of a pipe. With `first`, fails if the pipe already exists.
pub fn create_pipe(path: &Path, first: bool) -> io::Result<NamedPipeServer> {
    let descriptor = User::of_this_process()?.pipe()?;
    let mut attributes = descriptor.attributes();
    let mut options = ServerOptions::new();
    options.first_pipe_instance(first).reject_remote_clients(true);
    // SAFETY: the attributes and the descriptor they point to live until the call is over.
    unsafe { options.create_with_security_attributes_raw(path, (&raw mut attributes).cast()) }
}

/// Returns the id of the client process of a pipe.
pub fn client_process(pipe: &NamedPipeServer) -> Option<u32> {
    let mut process = 0;
    // SAFETY: the handle is open as long as `pipe` is borrowed.
    let done = unsafe { GetNamedPipeClientProcessId(pipe.as_raw_handle(), &mut process) };
    (done != 0).then_some(process)
}

/// Returns whether a pipe was created by the same user: other users cannot create it with this owner.
pub fn is_of_this_user(pipe: &impl AsRawHandle) -> io::Result<bool> {
    // SAFETY: the handle is open as long as `pipe` is borrowed; on success the call allocates a descriptor that
    // contains the owner.
    let owner = unsafe {
        identity::owner(|owner, descriptor| {
            let (handle, kind, what) = (pipe.as_raw_handle(), SE_KERNEL_OBJECT, OWNER_SECURITY_INFORMATION);
            GetSecurityInfo(handle, kind, what, owner, null_mut(), null_mut(), null_mut(), descriptor)
        })?
    };
    Ok(owner == User::of_this_process()?.sid)
}

/// Returns the name of the pipe on which Windows PowerShell, which does not accept a pipe's name, finds this
/// process by its id (RemoteSessionNamedPipe.cs, `NamedPipeUtils.CreateProcessPipeName`).
pub fn process_sockets() -> Vec<PathBuf> {
    let process = std::process::id();
    let (Some(started), Some(name)) = (start_time(process), program_name(process)) else { return Vec::new() };
    vec![PathBuf::from(format!(r"\\.\pipe\PSHost.{started}.{process}.DefaultAppDomain.{name}"))]
}
