//! GSSAPI (RFC 2743, RFC 2744) from the system's Kerberos library, loaded on first use.
//!
//! lyncsh does not link against the library: it also starts on a system without Kerberos, and reports the missing
//! library only if Kerberos is requested.
//!
//! Calls may block, and have no time limit: the library resolves names, reads caches and queries KDCs. MIT krb5
//! 1.20 waits 27 seconds for a KDC that does not answer.

use std::env::VarError;
use std::ffi::{c_int, c_void};
use std::path::Path;
use std::ptr::{null, null_mut};
use std::sync::OnceLock;
use std::time::Duration;

/// Environment variable with the path of a GSSAPI library that is not in the loader's paths.
const LIBRARY_VARIABLE: &str = "LYNCSH_GSSAPI_LIBRARY";

/// Libraries in the order in which they are tried: MIT krb5, then Heimdal.
#[cfg(not(target_vendor = "apple"))]
const LIBRARIES: &[&str] = &["libgssapi_krb5.so.2", "libgssapi.so.3"];
/// The system's framework (Heimdal). It is in the shared cache of dyld; the file does not have to exist.
#[cfg(target_vendor = "apple")]
const LIBRARIES: &[&str] = &["/System/Library/Frameworks/GSS.framework/GSS"];

/// Reasons why no library could be loaded, one for each attempt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct Missing(pub Vec<String>);

/// A failed call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Status {
    /// Major status: RFC 2744 §3.9.1.
    pub major: u32,
    /// Minor status of the mechanism. A Kerberos error code is negative.
    pub minor: i32,
    /// Text of the minor status, or of the major status if the mechanism has no text.
    pub text: String,
}

/// RFC 2744 §3.9.1.
mod major {
    pub const DEFECTIVE_TOKEN: u32 = 9 << 16;
    pub const UNAVAILABLE: u32 = 16 << 16;
    pub const CONTINUE_NEEDED: u32 = 1;
    pub const DUPLICATE_TOKEN: u32 = 2;
    pub const OLD_TOKEN: u32 = 4;
    pub const UNSEQ_TOKEN: u32 = 8;
    pub const GAP_TOKEN: u32 = 16;
    /// Calling errors and routine errors.
    pub(super) const ERRORS: u32 = 0xffff_0000;
    /// Supplementary bits that mean an old, repeated, missing or reordered message.
    pub(super) const ORDER: u32 = DUPLICATE_TOKEN | OLD_TOKEN | UNSEQ_TOKEN | GAP_TOKEN;
}

/// Flags of a context: RFC 2744 §5.19.
pub mod flag {
    pub const DELEGATE: u32 = 1;
    pub const MUTUAL: u32 = 2;
    pub const REPLAY: u32 = 4;
    pub const SEQUENCE: u32 = 8;
    pub const CONFIDENTIALITY: u32 = 16;
    pub const INTEGRITY: u32 = 32;
}

/// A mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mech {
    /// RFC 4121.
    Krb5,
    /// RFC 4178. Returns its own minor codes instead of those of Kerberos.
    Spnego,
}

impl Mech {
    fn bytes(self) -> &'static [u8] {
        match self {
            // 1.2.840.113554.1.2.2
            Self::Krb5 => b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02",
            // 1.3.6.1.5.5.2
            Self::Spnego => b"\x2b\x06\x01\x05\x05\x02",
        }
    }
}

/// Form of a name's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameForm {
    /// A Kerberos principal, `HTTP/host@REALM`, used unchanged.
    Principal,
    /// `HTTP@host`. The library may replace the host with its name in DNS (`dns_canonicalize_hostname` and
    /// `rdns` in krb5.conf), and takes the realm from `domain_realm`.
    Hostbased,
    /// An account, `user@REALM` or `user` of the default realm.
    User,
}

impl NameForm {
    fn bytes(self) -> &'static [u8] {
        match self {
            // 1.2.840.113554.1.2.2.1, GSS_KRB5_NT_PRINCIPAL_NAME
            Self::Principal => b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x01",
            // 1.2.840.113554.1.2.1.4, GSS_C_NT_HOSTBASED_SERVICE
            Self::Hostbased => b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x01\x04",
            // 1.2.840.113554.1.2.1.1, GSS_C_NT_USER_NAME
            Self::User => b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x01\x01",
        }
    }
}

// The structures of RFC 2744. Apple's headers pack them to two bytes, on Intel only.

#[derive(Clone, Copy)]
#[cfg_attr(not(all(target_vendor = "apple", target_arch = "x86_64")), repr(C))]
#[cfg_attr(all(target_vendor = "apple", target_arch = "x86_64"), repr(C, packed(2)))]
struct Buffer {
    length: usize,
    value: *mut c_void,
}

#[cfg_attr(not(all(target_vendor = "apple", target_arch = "x86_64")), repr(C))]
#[cfg_attr(all(target_vendor = "apple", target_arch = "x86_64"), repr(C, packed(2)))]
struct Oid {
    length: u32,
    elements: *const c_void,
}

#[cfg_attr(not(all(target_vendor = "apple", target_arch = "x86_64")), repr(C))]
#[cfg_attr(all(target_vendor = "apple", target_arch = "x86_64"), repr(C, packed(2)))]
struct OidSet {
    count: usize,
    elements: *const Oid,
}

#[cfg_attr(not(all(target_vendor = "apple", target_arch = "x86_64")), repr(C))]
#[cfg_attr(all(target_vendor = "apple", target_arch = "x86_64"), repr(C, packed(2)))]
struct Bindings {
    initiator_type: u32,
    initiator: Buffer,
    acceptor_type: u32,
    acceptor: Buffer,
    application: Buffer,
}

#[cfg_attr(not(all(target_vendor = "apple", target_arch = "x86_64")), repr(C))]
#[cfg_attr(all(target_vendor = "apple", target_arch = "x86_64"), repr(C, packed(2)))]
struct Iov {
    kind: u32,
    buffer: Buffer,
}

/// Types and flags of an IOV buffer, the same in MIT krb5 and Heimdal (`gssapi_ext.h`, `gssapi.h`).
mod iov {
    pub(super) const DATA: u32 = 1;
    pub(super) const HEADER: u32 = 2;
    pub(super) const PADDING: u32 = 9;
    pub(super) const ALLOCATE: u32 = 0x1_0000;
}

impl Buffer {
    const EMPTY: Self = Self { length: 0, value: null_mut() };

    /// Borrows bytes that the library only reads.
    fn of(bytes: &[u8]) -> Self {
        Self { length: bytes.len(), value: bytes.as_ptr().cast_mut().cast() }
    }
}

impl Oid {
    fn of(bytes: &'static [u8]) -> Self {
        Self { length: bytes.len() as u32, elements: bytes.as_ptr().cast() }
    }
}

const INITIATE: c_int = 1;
const ACCEPT: c_int = 2;
/// GSS_C_INDEFINITE: the lifetime of the ticket.
const INDEFINITE: u32 = u32::MAX;

type Handle = *mut c_void;
type ReleaseHandle = unsafe extern "C" fn(*mut u32, *mut Handle) -> u32;
type WrapIov = unsafe extern "C" fn(*mut u32, Handle, c_int, u32, *mut c_int, *mut Iov, c_int) -> u32;
type UnwrapIov = unsafe extern "C" fn(*mut u32, Handle, *mut c_int, *mut u32, *mut Iov, c_int) -> u32;
type ReleaseIov = unsafe extern "C" fn(*mut u32, *mut Iov, c_int) -> u32;
type SetNegotiable = unsafe extern "C" fn(*mut u32, Handle, *const OidSet) -> u32;
type AcquireWithPassword = unsafe extern "C" fn(
    *mut u32,
    Handle,
    *const Buffer,
    u32,
    *const OidSet,
    c_int,
    *mut Handle,
    *mut *mut OidSet,
    *mut u32,
) -> u32;

/// The functions of a loaded library.
#[allow(clippy::type_complexity, reason = "the signatures of RFC 2744")]
pub struct Library {
    name: String,
    import_name: unsafe extern "C" fn(*mut u32, *const Buffer, *const Oid, *mut Handle) -> u32,
    canonicalize_name: unsafe extern "C" fn(*mut u32, Handle, *const Oid, *mut Handle) -> u32,
    display_name: unsafe extern "C" fn(*mut u32, Handle, *mut Buffer, *mut *const Oid) -> u32,
    release_name: ReleaseHandle,
    release_buffer: unsafe extern "C" fn(*mut u32, *mut Buffer) -> u32,
    display_status: unsafe extern "C" fn(*mut u32, u32, c_int, *const Oid, *mut u32, *mut Buffer) -> u32,
    acquire: unsafe extern "C" fn(
        *mut u32,
        Handle,
        u32,
        *const OidSet,
        c_int,
        *mut Handle,
        *mut *mut OidSet,
        *mut u32,
    ) -> u32,
    release_credential: ReleaseHandle,
    initiate: unsafe extern "C" fn(
        *mut u32,
        Handle,
        *mut Handle,
        Handle,
        *const Oid,
        u32,
        u32,
        *const Bindings,
        *const Buffer,
        *mut *const Oid,
        *mut Buffer,
        *mut u32,
        *mut u32,
    ) -> u32,
    accept: unsafe extern "C" fn(
        *mut u32,
        *mut Handle,
        Handle,
        *const Buffer,
        *const Bindings,
        *mut Handle,
        *mut *const Oid,
        *mut Buffer,
        *mut u32,
        *mut u32,
        *mut Handle,
    ) -> u32,
    delete_context: unsafe extern "C" fn(*mut u32, *mut Handle, *mut Buffer) -> u32,
    wrap: unsafe extern "C" fn(*mut u32, Handle, c_int, u32, *const Buffer, *mut c_int, *mut Buffer) -> u32,
    unwrap: unsafe extern "C" fn(*mut u32, Handle, *const Buffer, *mut Buffer, *mut c_int, *mut u32) -> u32,
    /// Extensions that some libraries do not have.
    set_negotiable: Option<SetNegotiable>,
    acquire_with_password: Option<AcquireWithPassword>,
    by_iov: Option<(WrapIov, UnwrapIov, ReleaseIov)>,
}

impl Library {
    /// Returns the system's library, which is loaded once per process and never unloaded.
    ///
    /// # Errors
    /// No library is installed.
    pub fn get() -> Result<&'static Self, Missing> {
        static LOADED: OnceLock<Result<Library, Missing>> = OnceLock::new();
        let loaded = LOADED.get_or_init(|| match std::env::var(LIBRARY_VARIABLE) {
            Err(VarError::NotPresent) => Self::load(LIBRARIES),
            Ok(path) if path.is_empty() => Self::load(LIBRARIES),
            Ok(path) if Path::new(&path).is_absolute() => Self::load(&[&path]),
            _ => Err(Missing(vec![format!("{LIBRARY_VARIABLE} is not an absolute path")])),
        });
        loaded.as_ref().map_err(Missing::clone)
    }

    fn load(names: &[&str]) -> Result<Self, Missing> {
        let mut missing = Vec::new();
        for name in names {
            match Self::open(name) {
                Ok(library) => return Ok(library),
                Err(error) => {
                    // libloading's own text omits the system's reason.
                    let reason = std::error::Error::source(&error)
                        .map_or_else(|| error.to_string(), ToString::to_string);
                    missing.push(format!("{name}: {reason}"));
                }
            }
        }
        Err(Missing(missing))
    }

    fn open(name: &str) -> Result<Self, libloading::Error> {
        // SAFETY: the initialisers of a Kerberos library set up locks and error tables, and have no preconditions.
        let library = unsafe { libloading::Library::new(name) }?;
        macro_rules! symbol {
            // SAFETY: RFC 2744 or `gssapi_ext.h` declares the name with the signature of the field's type.
            ($name:literal) => {
                *unsafe { library.get(concat!($name, "\0").as_bytes()) }?
            };
        }
        macro_rules! optional {
            // SAFETY: as above.
            ($name:literal) => {
                unsafe { library.get(concat!($name, "\0").as_bytes()) }.ok().map(|symbol| *symbol)
            };
        }
        let wrap: Option<WrapIov> = optional!("gss_wrap_iov");
        let unwrap: Option<UnwrapIov> = optional!("gss_unwrap_iov");
        let release: Option<ReleaseIov> = optional!("gss_release_iov_buffer");
        let loaded = Self {
            name: name.to_owned(),
            import_name: symbol!("gss_import_name"),
            canonicalize_name: symbol!("gss_canonicalize_name"),
            display_name: symbol!("gss_display_name"),
            release_name: symbol!("gss_release_name"),
            release_buffer: symbol!("gss_release_buffer"),
            display_status: symbol!("gss_display_status"),
            acquire: symbol!("gss_acquire_cred"),
            release_credential: symbol!("gss_release_cred"),
            initiate: symbol!("gss_init_sec_context"),
            accept: symbol!("gss_accept_sec_context"),
            delete_context: symbol!("gss_delete_sec_context"),
            wrap: symbol!("gss_wrap"),
            unwrap: symbol!("gss_unwrap"),
            set_negotiable: optional!("gss_set_neg_mechs"),
            acquire_with_password: optional!("gss_acquire_cred_with_password"),
            by_iov: match (wrap, unwrap, release) {
                (Some(wrap), Some(unwrap), Some(release)) => Some((wrap, unwrap, release)),
                _ => None,
            },
        };
        // The library must stay loaded: its functions are used until the process ends.
        std::mem::forget(library);
        Ok(loaded)
    }

    fn check(&self, major: u32, minor: u32, mech: Mech) -> Result<u32, Status> {
        if major & major::ERRORS == 0 { Ok(major) } else { Err(self.status(major, minor, mech)) }
    }

    fn status(&self, major: u32, minor: u32, mech: Mech) -> Status {
        /// GSS_C_GSS_CODE and GSS_C_MECH_CODE.
        const OF_GSS: c_int = 1;
        const OF_MECHANISM: c_int = 2;
        // The text of a minor status of 0 is "Success" or "Unknown error".
        let specific = if minor == 0 { String::new() } else { self.text(minor, OF_MECHANISM, mech) };
        let text = if specific.is_empty() { self.text(major, OF_GSS, mech) } else { specific };
        Status { major, minor: minor as i32, text }
    }

    fn text(&self, code: u32, kind: c_int, mech: Mech) -> String {
        let oid = Oid::of(mech.bytes());
        // Texts of MIT's SPNEGO end with a zero.
        let end = |one: char| one == '\0' || one.is_whitespace();
        let mut more = 0;
        let mut lines = Vec::new();
        // A major status has one text for each of its three parts; the limit only prevents an endless loop.
        for _ in 0..8 {
            let (mut minor, mut buffer) = (0, Buffer::EMPTY);
            // SAFETY: every pointer is to a live local; the library allocates the buffer, and `take` releases it.
            let major =
                unsafe { (self.display_status)(&mut minor, code, kind, &oid, &mut more, &mut buffer) };
            if major & major::ERRORS != 0 {
                break;
            }
            let line = String::from_utf8_lossy(&self.take(buffer)).trim_matches(end).to_owned();
            if !line.is_empty() {
                lines.push(line);
            }
            if more == 0 {
                break;
            }
        }
        lines.join("; ")
    }

    /// Copies a buffer of the library and releases it.
    fn take(&self, mut buffer: Buffer) -> Vec<u8> {
        let bytes = copy(&buffer);
        let mut minor = 0;
        // SAFETY: the library has allocated the buffer, which is released only here.
        unsafe { (self.release_buffer)(&mut minor, &mut buffer) };
        bytes
    }
}

/// Copies the bytes of a buffer.
fn copy(buffer: &Buffer) -> Vec<u8> {
    let Buffer { length, value } = *buffer;
    if value.is_null() || length == 0 {
        return Vec::new();
    }
    // SAFETY: the library has set both fields of a buffer that it has not released yet.
    unsafe { std::slice::from_raw_parts(value.cast::<u8>(), length) }.to_vec()
}

/// A name in the library's form.
pub struct Name {
    library: &'static Library,
    handle: Handle,
}

// SAFETY: a handle is only used through the value that owns it. The libraries' only per-thread state is the texts
// of errors, which are read on the thread of the call.
unsafe impl Send for Name {}

impl Name {
    /// Imports a text.
    ///
    /// # Errors
    /// The text is not a name of this form.
    pub fn import(library: &'static Library, text: &str, form: NameForm) -> Result<Self, Status> {
        let (buffer, oid) = (Buffer::of(text.as_bytes()), Oid::of(form.bytes()));
        let (mut minor, mut handle) = (0, null_mut());
        // SAFETY: the library copies the text and the identifier; `handle` is written on success only.
        let major = unsafe { (library.import_name)(&mut minor, &buffer, &oid, &mut handle) };
        library.check(major, minor, Mech::Krb5)?;
        Ok(Self { library, handle })
    }

    /// Returns the name as a Kerberos principal, with its realm.
    ///
    /// # Errors
    /// Kerberos cannot represent the name, or there is no default realm.
    pub fn principal(&self) -> Result<String, Status> {
        let oid = Oid::of(Mech::Krb5.bytes());
        let (mut minor, mut handle) = (0, null_mut());
        // SAFETY: this name is live; `handle` is written on success only.
        let major = unsafe { (self.library.canonicalize_name)(&mut minor, self.handle, &oid, &mut handle) };
        self.library.check(major, minor, Mech::Krb5)?;
        Self { library: self.library, handle }.display()
    }

    /// Returns the name as text.
    ///
    /// # Errors
    /// The library cannot show the name.
    pub fn display(&self) -> Result<String, Status> {
        let (mut minor, mut buffer) = (0, Buffer::EMPTY);
        // SAFETY: this name is live; the form of the name may be null, and the buffer is released by `take`.
        let major = unsafe { (self.library.display_name)(&mut minor, self.handle, &mut buffer, null_mut()) };
        self.library.check(major, minor, Mech::Krb5)?;
        Ok(String::from_utf8_lossy(&self.library.take(buffer)).into_owned())
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let mut minor = 0;
        // SAFETY: the handle is this value's own, and this is its only release.
        unsafe { (self.library.release_name)(&mut minor, &mut self.handle) };
    }
}

/// A Kerberos credential for one of the two mechanisms.
///
/// A credential has an element for each mechanism. If a mechanism has no element, MIT krb5 uses the system's
/// default credential, possibly of another account, and Heimdal 7.8 finds no credential. So a credential for
/// SPNEGO is acquired for SPNEGO, but only after Kerberos has succeeded: Kerberos returns precise errors, and a
/// wrong password is sent once. SPNEGO is restricted to Kerberos, because gss-ntlmssp, if installed, would also
/// offer NTLM. Heimdal 7.8 has no `gss_set_neg_mechs`: the caller must check the tokens.
pub struct Credential {
    library: &'static Library,
    handle: Handle,
    lifetime: Duration,
}

// SAFETY: as for `Name`.
unsafe impl Send for Credential {}

impl Credential {
    /// Acquires the system's credential for an initiator: the ticket cache (KRB5CCNAME), else, with MIT krb5, a
    /// ticket for the client keytab (KRB5_CLIENT_KTNAME).
    ///
    /// # Errors
    /// There is no ticket; some libraries report this only with the first token.
    pub fn system(library: &'static Library, mech: Mech) -> Result<Self, Status> {
        Self::acquire_restricted(library, mech, |mech| Self::acquire(library, INITIATE, mech))
    }

    /// Acquires the credential for an acceptor: any key of the keytab (KRB5_KTNAME).
    ///
    /// # Errors
    /// There is no keytab, or it has no key.
    pub fn keytab(library: &'static Library, mech: Mech) -> Result<Self, Status> {
        Self::acquire_restricted(library, mech, |mech| Self::acquire(library, ACCEPT, mech))
    }

    /// Requests a ticket from a KDC with a password. The ticket is kept in memory, not in the system's cache.
    ///
    /// # Errors
    /// The KDC refuses or is not found, or the library does not support passwords.
    pub fn password(name: &Name, password: &[u8], mech: Mech) -> Result<Self, Status> {
        let library = name.library;
        let Some(acquire) = library.acquire_with_password else {
            let text = format!("{} has no gss_acquire_cred_with_password", library.name);
            return Err(Status { major: major::UNAVAILABLE, minor: 0, text });
        };
        Self::acquire_restricted(library, mech, |mech| {
            let oid = Oid::of(mech.bytes());
            let set = OidSet { count: 1, elements: &oid };
            // The library does not keep the buffer, and wipes its own copy.
            let secret = Buffer::of(password);
            let (mut minor, mut handle, mut seconds) = (0, null_mut(), 0);
            // SAFETY: the name is live, the password outlives the call; `handle` is written on success only.
            let major = unsafe {
                acquire(
                    &mut minor,
                    name.handle,
                    &secret,
                    INDEFINITE,
                    &set,
                    INITIATE,
                    &mut handle,
                    null_mut(),
                    &mut seconds,
                )
            };
            library.check(major, minor, mech)?;
            Ok(Self { library, handle, lifetime: Duration::from_secs(seconds.into()) })
        })
    }

    /// Acquires a credential for Kerberos and then, if requested, for SPNEGO restricted to Kerberos.
    fn acquire_restricted(
        library: &'static Library,
        mech: Mech,
        acquire: impl Fn(Mech) -> Result<Self, Status>,
    ) -> Result<Self, Status> {
        let kerberos = acquire(Mech::Krb5)?;
        if mech == Mech::Krb5 {
            return Ok(kerberos);
        }
        let credential = acquire(Mech::Spnego).map_err(|status| {
            if library.set_negotiable.is_some() {
                return status;
            }
            // Heimdal 7.8 returns "No credentials were supplied" although the KDC accepted the password.
            let text = format!("{} cannot use a password in SPNEGO", library.name);
            Status { major: major::UNAVAILABLE, minor: 0, text }
        })?;
        if let Some(restrict) = library.set_negotiable {
            let oid = Oid::of(Mech::Krb5.bytes());
            let set = OidSet { count: 1, elements: &oid };
            let mut minor = 0;
            // SAFETY: the credential is live; the library copies the set.
            let major = unsafe { restrict(&mut minor, credential.handle, &set) };
            library.check(major, minor, Mech::Spnego)?;
        }
        Ok(credential)
    }

    fn acquire(library: &'static Library, usage: c_int, mech: Mech) -> Result<Self, Status> {
        let oid = Oid::of(mech.bytes());
        let set = OidSet { count: 1, elements: &oid };
        let (mut minor, mut handle) = (0, null_mut());
        // SAFETY: null stands for the default name and for unused results; `handle` is written on success only.
        let major = unsafe {
            (library.acquire)(
                &mut minor,
                null_mut(),
                INDEFINITE,
                &set,
                usage,
                &mut handle,
                null_mut(),
                null_mut(),
            )
        };
        library.check(major, minor, mech)?;
        Ok(Self { library, handle, lifetime: Duration::ZERO })
    }

    /// Returns the remaining lifetime of the tickets when they were acquired with a password, else zero.
    pub fn lifetime(&self) -> Duration {
        self.lifetime
    }
}

impl Drop for Credential {
    fn drop(&mut self) {
        let mut minor = 0;
        // SAFETY: the handle is this value's own, and this is its only release.
        unsafe { (self.library.release_credential)(&mut minor, &mut self.handle) };
    }
}

/// Result of a handshake step: a token for the peer, and the state of the context.
pub struct Progress {
    /// The token; after a failed step, the error token for the peer. Empty if there is none.
    pub token: Vec<u8>,
    pub result: Result<State, Status>,
}

/// The state after a successful step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    pub established: bool,
    /// The features of the context ([`flag`]); final when it is established.
    pub flags: u32,
}

/// A message in two parts.
pub struct Wrapped {
    pub header: Vec<u8>,
    /// The encrypted message, then its padding.
    pub data: Vec<u8>,
    pub padding: usize,
}

/// One side of a context.
pub struct Context {
    library: &'static Library,
    mech: Mech,
    handle: Handle,
}

// SAFETY: as for `Name`; the methods take `&mut self`, so only one thread uses a context at a time.
unsafe impl Send for Context {}

impl Context {
    pub fn new(library: &'static Library, mech: Mech) -> Self {
        Self { library, mech, handle: null_mut() }
    }

    /// Processes the acceptor's token (empty at first) and returns the next token.
    pub fn initiate(
        &mut self,
        credential: &Credential,
        target: &Name,
        flags: u32,
        binding: Option<&[u8]>,
        token: &[u8],
    ) -> Progress {
        let (oid, input) = (Oid::of(self.mech.bytes()), Buffer::of(token));
        let bindings = binding.map(bind);
        let (mut minor, mut output, mut granted) = (0, Buffer::EMPTY, 0);
        // SAFETY: name, credential and bindings outlive the call; the library replaces the handle of the context or
        // leaves it unchanged; `take` releases the output.
        let major = unsafe {
            (self.library.initiate)(
                &mut minor,
                credential.handle,
                &mut self.handle,
                target.handle,
                &oid,
                flags,
                0,
                bindings.as_ref().map_or(null(), |bindings| bindings),
                &input,
                null_mut(),
                &mut output,
                &mut granted,
                null_mut(),
            )
        };
        self.progress(major, minor, output, granted)
    }

    /// Processes the initiator's token and returns the answer, and the initiator's name after the last step.
    pub fn accept(
        &mut self,
        credential: &Credential,
        binding: Option<&[u8]>,
        token: &[u8],
    ) -> (Progress, Option<Name>) {
        let input = Buffer::of(token);
        let bindings = binding.map(bind);
        let (mut minor, mut output, mut granted, mut peer) = (0, Buffer::EMPTY, 0, null_mut());
        // SAFETY: as for `initiate`; no delegated credential is requested, and `Name` owns the peer's name.
        let major = unsafe {
            (self.library.accept)(
                &mut minor,
                &mut self.handle,
                credential.handle,
                &input,
                bindings.as_ref().map_or(null(), |bindings| bindings),
                &mut peer,
                null_mut(),
                &mut output,
                &mut granted,
                null_mut(),
                null_mut(),
            )
        };
        let library = self.library;
        let peer = (!peer.is_null()).then(|| Name { library, handle: peer });
        (self.progress(major, minor, output, granted), peer)
    }

    fn progress(&self, major: u32, minor: u32, output: Buffer, flags: u32) -> Progress {
        let token = self.library.take(output);
        let ordered = self.library.check(major, minor, self.mech).and_then(|major| self.check_order(major));
        let state = |major: u32| State { established: major & major::CONTINUE_NEEDED == 0, flags };
        Progress { token, result: ordered.map(state) }
    }

    /// Returns an error if the status marks an old, repeated, missing or reordered token: RFC 2743 §1.2.3 leaves this
    /// decision to the caller.
    fn check_order(&self, major: u32) -> Result<u32, Status> {
        if major & major::ORDER == 0 { Ok(major) } else { Err(self.library.status(major, 0, self.mech)) }
    }

    /// Encrypts a message; without `gss_wrap_iov`, with [`Context::wrap_whole`].
    ///
    /// # Errors
    /// The context is not established, or the library does not support this format.
    pub fn wrap(&mut self, message: &[u8]) -> Result<Wrapped, Status> {
        let Some((wrap, _, release)) = self.library.by_iov else {
            return self.wrap_whole(message);
        };
        let mut data = message.to_vec();
        // The library encrypts the data in place and allocates the other two parts.
        let mut parts = [
            Iov { kind: iov::HEADER | iov::ALLOCATE, buffer: Buffer::EMPTY },
            Iov { kind: iov::DATA, buffer: Buffer { length: data.len(), value: data.as_mut_ptr().cast() } },
            Iov { kind: iov::PADDING | iov::ALLOCATE, buffer: Buffer::EMPTY },
        ];
        let (mut minor, mut encrypted) = (0, 0);
        // SAFETY: there are three parts, and `data` is not used elsewhere during the call.
        let major = unsafe { wrap(&mut minor, self.handle, 1, 0, &mut encrypted, parts.as_mut_ptr(), 3) };
        let (header, padding) = (copy(&parts[0].buffer), copy(&parts[2].buffer));
        let mut ignored = 0;
        // SAFETY: releases only the parts that the library has marked as its allocations.
        unsafe { release(&mut ignored, parts.as_mut_ptr(), 3) };
        self.library.check(major, minor, self.mech)?;
        self.check_encrypted(encrypted)?;
        data.extend_from_slice(&padding);
        Ok(Wrapped { header, data, padding: padding.len() })
    }

    /// Encrypts a message with `gss_wrap`, and splits the token in two like `gss_wrap_iov`.
    ///
    /// A token of RFC 4121 §4.2.6.2 is a header of 16 bytes and a ciphertext, which the sender may rotate to
    /// the right by any count (RRC in the header, §4.2.5). `gss_wrap_iov` rotates by the length of the
    /// encrypted header and the checksum, so that the message is at the end. A finished token can be rotated,
    /// because the encrypted copy of the header always has an RRC of 0. Tokens of RC4 (RFC 4757) have no RRC.
    ///
    /// # Errors
    /// The context is not established, or does not use tokens of RFC 4121.
    pub fn wrap_whole(&mut self, message: &[u8]) -> Result<Wrapped, Status> {
        let (input, mut output) = (Buffer::of(message), Buffer::EMPTY);
        let (mut minor, mut encrypted) = (0, 0);
        // SAFETY: the message outlives the call; `take` releases the output.
        let major = unsafe {
            (self.library.wrap)(&mut minor, self.handle, 1, 0, &input, &mut encrypted, &mut output)
        };
        let mut token = self.library.take(output);
        self.library.check(major, minor, self.mech)?;
        self.check_encrypted(encrypted)?;
        let Some(header) = rotate(&mut token, message.len()) else {
            let text = format!("{} cannot seal messages with this encryption type", self.library.name);
            return Err(Status { major: major::UNAVAILABLE, minor: 0, text });
        };
        let data = token.split_off(header);
        Ok(Wrapped { header: token, data, padding: 0 })
    }

    /// Decrypts a message in two parts and verifies its place in the sequence.
    ///
    /// # Errors
    /// The message was altered, is out of sequence, or is not encrypted.
    pub fn unwrap(&mut self, header: &[u8], data: &[u8]) -> Result<Vec<u8>, Status> {
        let Some((_, unwrap, _)) = self.library.by_iov else {
            return self.unwrap_whole(&[header, data].concat());
        };
        let (mut header, mut data) = (header.to_vec(), data.to_vec());
        let part = |bytes: &mut Vec<u8>| Buffer { length: bytes.len(), value: bytes.as_mut_ptr().cast() };
        // The empty part is for the padding, whose length within the data is unknown.
        let mut parts = [
            Iov { kind: iov::HEADER, buffer: part(&mut header) },
            Iov { kind: iov::DATA, buffer: part(&mut data) },
            Iov { kind: iov::DATA, buffer: Buffer::EMPTY },
        ];
        let (mut minor, mut encrypted, mut quality) = (0, 0, 0);
        // SAFETY: there are three parts, none of which the library allocates; both vectors are not used elsewhere
        // during the call.
        let major =
            unsafe { unwrap(&mut minor, self.handle, &mut encrypted, &mut quality, parts.as_mut_ptr(), 3) };
        self.check_order(self.library.check(major, minor, self.mech)?)?;
        self.check_encrypted(encrypted)?;
        let length = { parts[1].buffer }.length;
        data.truncate(length);
        Ok(data)
    }

    /// Decrypts a message in one part.
    ///
    /// # Errors
    /// As for [`Context::unwrap`].
    pub fn unwrap_whole(&mut self, token: &[u8]) -> Result<Vec<u8>, Status> {
        let (input, mut output) = (Buffer::of(token), Buffer::EMPTY);
        let (mut minor, mut encrypted, mut quality) = (0, 0, 0);
        // SAFETY: the token outlives the call; `take` releases the output.
        let major = unsafe {
            (self.library.unwrap)(&mut minor, self.handle, &input, &mut output, &mut encrypted, &mut quality)
        };
        let message = self.library.take(output);
        self.check_order(self.library.check(major, minor, self.mech)?)?;
        self.check_encrypted(encrypted)?;
        Ok(message)
    }

    /// Refuses a message that is only signed.
    fn check_encrypted(&self, encrypted: c_int) -> Result<(), Status> {
        if encrypted != 0 {
            return Ok(());
        }
        Err(Status {
            major: major::DEFECTIVE_TOKEN,
            minor: 0,
            text: "the message is not encrypted".to_owned(),
        })
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if self.handle.is_null() {
            return;
        }
        let mut minor = 0;
        // SAFETY: this value owns the handle, and releases it only here; no final token is requested.
        unsafe { (self.library.delete_context)(&mut minor, &mut self.handle, null_mut()) };
    }
}

/// Returns channel bindings that contain only application data: RFC 5056 §2.1 omits both addresses.
fn bind(data: &[u8]) -> Bindings {
    Bindings {
        initiator_type: 0,
        initiator: Buffer::EMPTY,
        acceptor_type: 0,
        acceptor: Buffer::EMPTY,
        application: Buffer::of(data),
    }
}

/// Rotates the ciphertext of a sealed RFC 4121 token so that the message is at its end. Returns the number of bytes
/// before the message, or `None` if the token has another format. Heimdal's `gss_wrap` already rotates its tokens.
///
/// `message`: the length of the message in bytes.
fn rotate(token: &mut [u8], message: usize) -> Option<usize> {
    /// Lengths of the header and of the confounder (one AES block), which directly precedes the message.
    const HEADER: usize = 16;
    const CONFOUNDER: usize = 16;
    let front = token.len().checked_sub(message)?;
    let count = front.checked_sub(HEADER + CONFOUNDER)?;
    // TOK_ID 05 04, the flag "sealed", the filler, and an EC of 0 (§4.2.6.2).
    let known = token.starts_with(&[5, 4]) && token[2] & 2 != 0 && token[3..6] == [0xff, 0, 0];
    if !known {
        return None;
    }
    let done = usize::from(u16::from_be_bytes([token[6], token[7]]));
    token[6..8].copy_from_slice(&u16::try_from(count).ok()?.to_be_bytes());
    let cipher = &mut token[HEADER..];
    cipher.rotate_left(done % cipher.len());
    cipher.rotate_right(count);
    Some(front)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_named_with_its_reason() {
        let missing = Library::load(&["liblyncsh-none.so.1", "liblyncsh-none.so.2"]).err().unwrap();
        assert_eq!(missing.0.len(), 2);
        assert!(missing.0[1].starts_with("liblyncsh-none.so.2: "), "{missing}");
        assert!(missing.to_string().contains("liblyncsh-none.so.1"), "{missing}");
    }

    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[test]
    fn a_library_without_gssapi_is_rejected() {
        let missing = Library::load(&["libc.so.6"]).err().unwrap();
        assert!(missing.to_string().contains("gss_"), "{missing}");
    }

    #[test]
    fn only_sealed_tokens_of_rfc_4121_are_rotated() {
        let token = |flags: u8, rotation: u8| {
            let mut token = vec![5, 4, flags, 0xff, 0, 0, 0, rotation];
            token.extend(8..76_u8);
            token
        };
        let mut sealed = token(6, 0);
        assert_eq!(rotate(&mut sealed, 16), Some(60));
        assert_eq!(sealed[6..8], [0, 28]);
        // The last 28 bytes of the ciphertext are first.
        assert_eq!(sealed[16..20], [48, 49, 50, 51]);
        assert_eq!(rotate(&mut token(4, 0), 16), None);
        // The same for a token that is already rotated.
        let mut rotated = token(6, 28);
        rotated[16..].rotate_right(28);
        assert_eq!(rotate(&mut rotated, 16), Some(60));
        assert_eq!(rotated, sealed);
        assert_eq!(rotate(&mut token(6, 0), 60), None);
        assert_eq!(rotate(&mut [0x60; 76], 16), None);
    }
}
