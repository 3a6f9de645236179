//! The user's identity, and private security descriptors.

use std::io;
use std::os::windows::io::{AsRawHandle as _, FromRawHandle as _, OwnedHandle};
use std::ptr::null_mut;

use windows_sys::Win32::Foundation::{HANDLE, LocalFree};
use windows_sys::Win32::Security::Authentication::Identity::{GetUserNameExW, NameSamCompatible};
use windows_sys::Win32::Security::Authorization::{
    ConvertSidToStringSidW, ConvertStringSecurityDescriptorToSecurityDescriptorW, SDDL_REVISION_1,
};
use windows_sys::Win32::Security::{
    GetTokenInformation, PSECURITY_DESCRIPTOR, PSID, SECURITY_ATTRIBUTES, TOKEN_ELEVATION, TOKEN_QUERY,
    TOKEN_USER, TokenElevation, TokenUser,
};
use windows_sys::Win32::System::SystemInformation::{ComputerNamePhysicalDnsHostname, GetComputerNameExW};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

use super::wide;

/// Returns the name of this user, `DOMAIN\user`; empty if it is not known.
pub fn own_name() -> String {
    // SAFETY: the buffer has the given length.
    name(|buffer, length| unsafe { GetUserNameExW(NameSamCompatible, buffer, length) })
}

/// Returns the name of this machine; empty if it is not known.
pub fn machine_name() -> String {
    // SAFETY: the buffer has the given length.
    name(|buffer, length| unsafe { GetComputerNameExW(ComputerNamePhysicalDnsHostname, buffer, length) != 0 })
}

/// Returns the text that `read` writes into a buffer. Names are shorter than its 1,024 characters.
fn name(read: impl FnOnce(*mut u16, &mut u32) -> bool) -> String {
    let mut buffer = [0_u16; 1024];
    let mut length = 1024;
    if !read(buffer.as_mut_ptr(), &mut length) {
        return String::new();
    }
    buffer.get(..length as usize).map(String::from_utf16_lossy).unwrap_or_default()
}

/// The user of this process.
pub struct User {
    /// SID as text, `S-1-5-…`.
    pub sid: String,
    /// Whether the process is elevated ("Run as administrator").
    elevated: bool,
}

impl User {
    pub fn of_this_process() -> io::Result<Self> {
        let mut token: HANDLE = null_mut();
        // SAFETY: the process's own pseudo handle is always valid; `token` is written on success only.
        let token = unsafe {
            if OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &mut token) == 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedHandle::from_raw_handle(token)
        };
        // TOKEN_USER is followed by the SID it points to: at most 68 bytes (SECURITY_MAX_SID_SIZE).
        let mut user = [0_u64; 16];
        let mut elevation = TOKEN_ELEVATION { TokenIsElevated: 0 };
        let mut length = 0;
        // SAFETY: both buffers have the given length and the alignment of their content; the SID
        // lies within `user`, which outlives its use.
        unsafe {
            let (at, size) = (user.as_mut_ptr().cast(), size_of_val(&user) as u32);
            if GetTokenInformation(token.as_raw_handle(), TokenUser, at, size, &mut length) == 0 {
                return Err(io::Error::last_os_error());
            }
            let (at, size) = ((&raw mut elevation).cast(), size_of_val(&elevation) as u32);
            if GetTokenInformation(token.as_raw_handle(), TokenElevation, at, size, &mut length) == 0 {
                return Err(io::Error::last_os_error());
            }
            let sid = (*user.as_ptr().cast::<TOKEN_USER>()).User.Sid;
            Ok(Self { sid: sid_text(sid)?, elevated: elevation.TokenIsElevated != 0 })
        }
    }

    /// Returns a descriptor with full access for the user only. It names the user instead of the owner, which
    /// may be the administrators' group for an elevated process.
    pub fn pipe(&self) -> io::Result<Descriptor> {
        let sid = &self.sid;
        // The high integrity level of an elevated process would deny access to the same user's processes that are
        // not elevated, which must also reach the session.
        let label = if self.elevated { "S:(ML;;NW;;;ME)" } else { "" };
        Descriptor::parse(&format!("O:{sid}G:{sid}D:P(A;;GA;;;{sid}){label}"))
    }

    /// Returns the descriptor for a folder and its content. The system has access, as in all folders of
    /// users: backups and virus scanners run as the system.
    pub fn folder(&self) -> io::Result<Descriptor> {
        let sid = &self.sid;
        Descriptor::parse(&format!("O:{sid}G:{sid}D:P(A;OICI;FA;;;{sid})(A;OICI;FA;;;SY)"))
    }
}

/// Formats a SID.
///
/// # Safety
/// `sid` must point to a valid SID.
unsafe fn sid_text(sid: PSID) -> io::Result<String> {
    let mut text = null_mut();
    // SAFETY: the caller guarantees that `sid` is valid; `text` becomes a string with a terminating zero, which
    // is copied before it is freed.
    unsafe {
        if ConvertSidToStringSidW(sid, &mut text) == 0 {
            return Err(io::Error::last_os_error());
        }
        let length = (0..).take_while(|&at| *text.add(at) != 0).count();
        let copy = String::from_utf16_lossy(std::slice::from_raw_parts(text, length));
        LocalFree(text.cast());
        Ok(copy)
    }
}

/// Returns the SID of an object's owner. `get` writes pointers to the owner and to the security descriptor that
/// contains it, and returns an error code.
///
/// # Safety
/// After a return of 0, the descriptor must be valid and belong to this function, and the owner lie within it.
pub unsafe fn owner(get: impl FnOnce(&mut PSID, &mut PSECURITY_DESCRIPTOR) -> u32) -> io::Result<String> {
    let (mut owner, mut descriptor) = (null_mut(), null_mut());
    let code = get(&mut owner, &mut descriptor);
    if code != 0 {
        return Err(io::Error::from_raw_os_error(code.cast_signed()));
    }
    // SAFETY: the caller guarantees that `owner` points into `descriptor`, which is freed after its last use.
    unsafe {
        let owner = sid_text(owner);
        LocalFree(descriptor);
        owner
    }
}

/// A security descriptor.
pub struct Descriptor(PSECURITY_DESCRIPTOR);

impl Descriptor {
    fn parse(sddl: &str) -> io::Result<Self> {
        let mut descriptor = null_mut();
        let text = wide(sddl);
        // SAFETY: `text` ends with a zero; [`Drop`] frees `descriptor`.
        let done = unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                text.as_ptr(),
                SDDL_REVISION_1,
                &mut descriptor,
                null_mut(),
            )
        };
        if done == 0 { Err(io::Error::last_os_error()) } else { Ok(Self(descriptor)) }
    }

    /// Returns security attributes with this descriptor, which are valid as long as `self`.
    pub fn attributes(&self) -> SECURITY_ATTRIBUTES {
        SECURITY_ATTRIBUTES {
            nLength: size_of::<SECURITY_ATTRIBUTES>() as u32,
            lpSecurityDescriptor: self.0,
            bInheritHandle: 0,
        }
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: the system allocated it with LocalAlloc, and no other code frees it.
        unsafe { LocalFree(self.0) };
    }
}
