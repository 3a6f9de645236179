//! SSPI: the system's security packages (secur32.dll).
//!
//! Calls may block while the system queries a domain controller.

use std::ffi::c_void;
use std::ptr::{null, null_mut};

use secrecy::zeroize::Zeroizing;
use windows_sys::Win32::Foundation::{
    SEC_I_COMPLETE_AND_CONTINUE, SEC_I_COMPLETE_NEEDED, SEC_I_CONTINUE_NEEDED,
};
use windows_sys::Win32::Security::Authentication::Identity::{
    AcquireCredentialsHandleW, CompleteAuthToken, DecryptMessage, DeleteSecurityContext, EncryptMessage,
    FreeContextBuffer, FreeCredentialsHandle, ISC_REQ_ALLOCATE_MEMORY, ISC_REQ_CONFIDENTIALITY,
    ISC_REQ_DELEGATE, ISC_REQ_INTEGRITY, ISC_REQ_MUTUAL_AUTH, ISC_REQ_REPLAY_DETECT, ISC_REQ_SEQUENCE_DETECT,
    InitializeSecurityContextW, QueryContextAttributesW, SEC_CHANNEL_BINDINGS, SEC_WINNT_AUTH_IDENTITY_EXW,
    SEC_WINNT_AUTH_IDENTITY_VERSION, SECBUFFER_CHANNEL_BINDINGS, SECBUFFER_DATA, SECBUFFER_PADDING,
    SECBUFFER_TOKEN, SECBUFFER_VERSION, SECPKG_ATTR_SIZES, SECPKG_CRED_OUTBOUND, SECQOP_WRAP_NO_ENCRYPT,
    SECURITY_NATIVE_DREP, SecBuffer, SecBufferDesc, SecPkgContext_Sizes,
};
use windows_sys::Win32::Security::Credentials::SecHandle;
use windows_sys::Win32::System::Rpc::{SEC_WINNT_AUTH_IDENTITY_UNICODE, SEC_WINNT_AUTH_IDENTITY_W};

use super::wide;

/// A failed call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Status {
    /// `SEC_E_…` of winerror.h.
    pub code: u32,
    /// The system's text.
    pub text: String,
}

impl Status {
    fn of(code: i32) -> Self {
        let text = std::io::Error::from_raw_os_error(code).to_string();
        // The code follows in parentheses.
        let text = text.rsplit_once(" (os error").map_or(text.as_str(), |(text, _)| text).trim();
        Self { code: code as u32, text: text.to_owned() }
    }
}

fn check(code: i32) -> Result<i32, Status> {
    if code < 0 { Err(Status::of(code)) } else { Ok(code) }
}

/// A security package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Package {
    Kerberos,
    Ntlm,
    /// SPNEGO without NTLM.
    NegotiateKerberos,
    /// SPNEGO without Kerberos.
    NegotiateNtlm,
}

impl Package {
    fn name(self) -> &'static str {
        match self {
            Self::Kerberos => "Kerberos",
            Self::Ntlm => "NTLM",
            Self::NegotiateKerberos | Self::NegotiateNtlm => "Negotiate",
        }
    }

    /// Returns the mechanism that SPNEGO must not offer, for PackageList of SEC_WINNT_AUTH_IDENTITY_EX.
    fn excludes(self) -> Option<&'static str> {
        match self {
            Self::NegotiateKerberos => Some("!ntlm"),
            Self::NegotiateNtlm => Some("!kerberos"),
            Self::Kerberos | Self::Ntlm => None,
        }
    }
}

/// The account of a credential.
#[derive(Clone, Copy)]
pub struct Identity<'a> {
    pub user: &'a str,
    /// Empty if `user` is a UPN or a local account.
    pub domain: &'a str,
    pub password: &'a str,
}

/// An outbound credential.
pub struct Credential {
    handle: SecHandle,
}

impl Credential {
    /// Acquires a credential; without an identity, the credential of the logged-on user. Does not check the password.
    ///
    /// # Errors
    /// The package is missing, or there is no logon.
    pub fn acquire(package: Package, identity: Option<Identity<'_>>) -> Result<Self, Status> {
        // Needs no terminating zero: the lengths are passed separately.
        let text = |text: &str| {
            // UTF-16 has at most as many units as UTF-8 has bytes: the vector does not grow, which would leave
            // a copy.
            let mut units = Zeroizing::new(Vec::with_capacity(text.len() + 1));
            units.extend(text.encode_utf16());
            units
        };
        let none = Identity { user: "", domain: "", password: "" };
        let given = identity.unwrap_or(none);
        let (mut user, mut domain) = (text(given.user), text(given.domain));
        let mut password = text(given.password);
        let mut list = text(package.excludes().unwrap_or_default());
        // Null for a missing text. An empty password is valid; an empty domain counts as missing.
        let place = |units: &mut Vec<u16>, there: bool| if there { units.as_mut_ptr() } else { null_mut() };
        let there = identity.is_some();
        let plain = SEC_WINNT_AUTH_IDENTITY_W {
            User: place(&mut user, there),
            UserLength: user.len() as u32,
            Domain: place(&mut domain, !given.domain.is_empty()),
            DomainLength: domain.len() as u32,
            Password: place(&mut password, there),
            PasswordLength: password.len() as u32,
            Flags: SEC_WINNT_AUTH_IDENTITY_UNICODE,
        };
        let extended = SEC_WINNT_AUTH_IDENTITY_EXW {
            Version: SEC_WINNT_AUTH_IDENTITY_VERSION,
            Length: size_of::<SEC_WINNT_AUTH_IDENTITY_EXW>() as u32,
            User: plain.User,
            UserLength: plain.UserLength,
            Domain: plain.Domain,
            DomainLength: plain.DomainLength,
            Password: plain.Password,
            PasswordLength: plain.PasswordLength,
            Flags: plain.Flags,
            PackageList: list.as_mut_ptr(),
            PackageListLength: list.len() as u32,
        };
        let data: *const c_void = match (package.excludes(), identity) {
            (Some(_), _) => (&raw const extended).cast(),
            (None, Some(_)) => (&raw const plain).cast(),
            (None, None) => null(),
        };
        let (name, mut handle, mut expiry) = (wide(package.name()), SecHandle::default(), 0);
        // SAFETY: the texts and structures outlive the call, which copies them; `handle` is written on success
        // only.
        let code = unsafe {
            AcquireCredentialsHandleW(
                null(),
                name.as_ptr(),
                SECPKG_CRED_OUTBOUND,
                null(),
                data,
                None,
                null(),
                &mut handle,
                &mut expiry,
            )
        };
        check(code)?;
        Ok(Self { handle })
    }
}

impl Drop for Credential {
    fn drop(&mut self) {
        // SAFETY: this value owns the handle, and releases it only here.
        unsafe { FreeCredentialsHandle(&self.handle) };
    }
}

/// Features that an initiator requests.
#[derive(Clone, Copy, Default)]
pub struct RequestedFeatures<'a> {
    /// Mutual authentication, which NTLM does not have.
    pub mutual: bool,
    pub delegate: bool,
    pub binding: Option<&'a [u8]>,
}

/// A message in two parts.
pub struct Wrapped {
    pub header: Vec<u8>,
    /// The encrypted message, then its padding.
    pub data: Vec<u8>,
    pub padding: usize,
}

/// The initiator's side of a context.
pub struct Context {
    credential: Credential,
    handle: Option<SecHandle>,
    target: Vec<u16>,
}

impl Context {
    /// `target` is the service principal.
    pub fn new(credential: Credential, target: &str) -> Self {
        Self { credential, handle: None, target: wide(target) }
    }

    /// Processes the server's token (empty at first). Returns the next token, and whether the context is
    /// established.
    ///
    /// # Errors
    /// The package refuses, or does not grant a requested feature.
    pub fn initiate(
        &mut self,
        token: &[u8],
        wanted: RequestedFeatures<'_>,
    ) -> Result<(Vec<u8>, bool), Status> {
        let base =
            ISC_REQ_CONFIDENTIALITY | ISC_REQ_INTEGRITY | ISC_REQ_REPLAY_DETECT | ISC_REQ_SEQUENCE_DETECT;
        let mutual = if wanted.mutual { ISC_REQ_MUTUAL_AUTH } else { 0 };
        let delegate = if wanted.delegate { ISC_REQ_DELEGATE } else { 0 };
        let mut bindings = wanted.binding.map(bind);
        let mut input = Vec::new();
        if !token.is_empty() {
            // The package only reads an input token.
            input.push(buffer(SECBUFFER_TOKEN, token.as_ptr().cast_mut(), token.len()));
        }
        if let Some(bytes) = &mut bindings {
            input.push(buffer(SECBUFFER_CHANNEL_BINDINGS, bytes.as_mut_ptr(), bytes.len()));
        }
        let incoming = describe(&mut input);
        let mut output = [buffer(SECBUFFER_TOKEN, null_mut(), 0)];
        let mut outgoing = describe(&mut output);
        let (mut fresh, mut granted, mut expiry) = (SecHandle::default(), 0, 0);
        let old = self.handle.as_ref().map_or(null(), |handle| handle);
        // SAFETY: the buffers and the name outlive the call; with ALLOCATE_MEMORY the package allocates the token,
        // which is released below; the new handle is the same context and replaces the old one.
        let code = unsafe {
            InitializeSecurityContextW(
                &self.credential.handle,
                old,
                self.target.as_ptr(),
                base | mutual | delegate | ISC_REQ_ALLOCATE_MEMORY,
                0,
                SECURITY_NATIVE_DREP,
                if input.is_empty() { null() } else { &incoming },
                0,
                &mut fresh,
                &mut outgoing,
                &mut granted,
                &mut expiry,
            )
        };
        let code = check(code);
        if code.is_ok() {
            self.handle = Some(fresh);
        }
        let more = matches!(code, Ok(SEC_I_CONTINUE_NEEDED | SEC_I_COMPLETE_AND_CONTINUE));
        let completed = match code {
            Ok(SEC_I_COMPLETE_NEEDED | SEC_I_COMPLETE_AND_CONTINUE) => {
                // SAFETY: both were written by the call above.
                check(unsafe { CompleteAuthToken(&fresh, &outgoing) })
            }
            other => other,
        };
        let [SecBuffer { cbBuffer: length, pvBuffer: place, .. }] = output;
        let mut next = Vec::new();
        if !place.is_null() {
            // SAFETY: the package has allocated `length` bytes, which are copied and released once.
            unsafe {
                next.extend_from_slice(std::slice::from_raw_parts(place.cast::<u8>(), length as usize));
                FreeContextBuffer(place);
            }
        }
        completed?;
        // Granted flags (ISC_RET) have the same values as requested flags (ISC_REQ).
        if !more && granted & (base | mutual) != base | mutual {
            let text = format!("the context lacks flags {:#x}", (base | mutual) & !granted);
            return Err(Status { code: MUTUAL_AUTH_FAILED, text });
        }
        Ok((next, !more))
    }

    fn sizes(&self) -> Result<SecPkgContext_Sizes, Status> {
        let mut sizes = SecPkgContext_Sizes::default();
        // SAFETY: the structure matches the attribute.
        let code = unsafe {
            QueryContextAttributesW(self.established()?, SECPKG_ATTR_SIZES, (&raw mut sizes).cast())
        };
        check(code)?;
        Ok(sizes)
    }

    fn established(&self) -> Result<&SecHandle, Status> {
        self.handle.as_ref().ok_or_else(|| Status::of(INVALID_HANDLE as i32))
    }

    /// Encrypts a message; returns the token, the data and the padding.
    ///
    /// # Errors
    /// The context is not established, or has expired.
    pub fn wrap(&mut self, message: &[u8]) -> Result<Wrapped, Status> {
        let sizes = self.sizes()?;
        let mut header = vec![0; sizes.cbSecurityTrailer as usize];
        let mut padding = vec![0; sizes.cbBlockSize as usize];
        let mut data = message.to_vec();
        let mut parts = [
            buffer(SECBUFFER_TOKEN, header.as_mut_ptr(), header.len()),
            buffer(SECBUFFER_DATA, data.as_mut_ptr(), data.len()),
            buffer(SECBUFFER_PADDING, padding.as_mut_ptr(), padding.len()),
        ];
        let description = describe(&mut parts);
        // SAFETY: the three buffers have the given lengths, and the package writes within them.
        check(unsafe { EncryptMessage(self.established()?, 0, &description, 0) })?;
        header.truncate(parts[0].cbBuffer as usize);
        padding.truncate(parts[2].cbBuffer as usize);
        data.extend_from_slice(&padding);
        Ok(Wrapped { header, data, padding: padding.len() })
    }

    /// Decrypts a message in two parts, and verifies its place in the sequence.
    ///
    /// # Errors
    /// The message was altered, is out of sequence, or is not encrypted.
    pub fn unwrap(&mut self, header: &[u8], data: &[u8]) -> Result<Vec<u8>, Status> {
        let (mut header, mut data) = (header.to_vec(), data.to_vec());
        let mut parts = [
            buffer(SECBUFFER_TOKEN, header.as_mut_ptr(), header.len()),
            buffer(SECBUFFER_DATA, data.as_mut_ptr(), data.len()),
        ];
        let (description, mut quality) = (describe(&mut parts), 0);
        // SAFETY: both buffers have the given lengths, and the package decrypts the data in place.
        check(unsafe { DecryptMessage(self.established()?, &description, 0, &mut quality) })?;
        if quality & SECQOP_WRAP_NO_ENCRYPT == SECQOP_WRAP_NO_ENCRYPT {
            return Err(Status { code: MESSAGE_ALTERED, text: "the message is not encrypted".to_owned() });
        }
        data.truncate(parts[1].cbBuffer as usize);
        Ok(data)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if let Some(handle) = &self.handle {
            // SAFETY: this value owns the handle, and releases it only here.
            unsafe { DeleteSecurityContext(handle) };
        }
    }
}

/// SEC_E_MUTUAL_AUTH_FAILED, SEC_E_MESSAGE_ALTERED, SEC_E_INVALID_HANDLE.
const MUTUAL_AUTH_FAILED: u32 = 0x8009_0363;
const MESSAGE_ALTERED: u32 = 0x8009_030f;
const INVALID_HANDLE: u32 = 0x8009_0301;

fn buffer(kind: u32, place: *mut u8, length: usize) -> SecBuffer {
    SecBuffer { cbBuffer: length as u32, BufferType: kind, pvBuffer: place.cast() }
}

/// Returns a description of the buffers, which must outlive it.
fn describe(buffers: &mut [SecBuffer]) -> SecBufferDesc {
    SecBufferDesc {
        ulVersion: SECBUFFER_VERSION,
        cBuffers: buffers.len() as u32,
        pBuffers: buffers.as_mut_ptr(),
    }
}

/// Returns SEC_CHANNEL_BINDINGS followed by the application data; the addresses are empty.
fn bind(data: &[u8]) -> Vec<u8> {
    let offset = size_of::<SEC_CHANNEL_BINDINGS>() as u32;
    // Eight numbers: type, length and offset of two addresses, then length and offset of the data.
    let numbers = [0, 0, 0, 0, 0, 0, data.len() as u32, offset];
    let mut bytes: Vec<u8> = numbers.into_iter().flat_map(u32::to_ne_bytes).collect();
    bytes.extend_from_slice(data);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binding_is_the_header_and_its_data() {
        let bytes = bind(b"tls-server-end-point:x");
        assert_eq!(bytes.len(), size_of::<SEC_CHANNEL_BINDINGS>() + 22);
        assert_eq!(bytes[24..32], [22, 0, 0, 0, 32, 0, 0, 0]);
    }

    #[test]
    fn ntlm_negotiates_with_a_password() {
        let identity = Identity { user: "alice", domain: "LITWARE", password: "correct horse" };
        let credential = match Credential::acquire(Package::Ntlm, Some(identity)) {
            Ok(credential) => credential,
            // Wine has no NTLM without Samba: SEC_E_SECPKG_NOT_FOUND.
            Err(status) => return assert_eq!(status.code, 0x8009_0305),
        };
        let mut context = Context::new(credential, "HTTP/localhost");
        let wanted =
            RequestedFeatures { binding: Some(b"tls-server-end-point:x"), ..RequestedFeatures::default() };
        let (token, established) = context.initiate(&[], wanted).unwrap();
        // NEGOTIATE_MESSAGE, MS-NLMP 2.2.1.1.
        assert!(token.starts_with(b"NTLMSSP\0\x01\0\0\0"), "{token:?}");
        assert!(!established);
        // Not a CHALLENGE_MESSAGE.
        let error = context.initiate(b"nonsense", wanted).unwrap_err();
        assert!(error.code >= 0x8009_0300, "{error:?}");
    }
}
