//! Owner and permissions of files.

/// Owner and permissions of a file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// It belongs to this user, or on Windows to the administrators or the system.
    pub is_own: bool,
    /// The path is a symbolic link; the other fields are those of its target.
    pub is_link: bool,
    /// Other users can read or execute it; for a folder, list it or access its entries. Always false on Windows, where
    /// files inherit the access list of their folder.
    pub is_readable: bool,
    /// Other users can change it. Always false on Windows.
    pub is_writable: bool,
    /// The mode; `None` on Windows.
    pub mode: Option<u32>,
}
