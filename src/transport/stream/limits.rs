//! Sizes in out-of-process framing (OutOfProcTransportManager.cs).

/// Maximum number of bytes in one Data.
pub const MAX_DATA: usize = 32_768;
/// Maximum payload of one fragment (32,768 less the fragment's header).
pub const MAX_FRAGMENT_PAYLOAD: usize = 32_747;
/// Maximum length of a received line in bytes. The longest line of either side is a Data of [`MAX_DATA`]
/// bytes in base64, a sixth of this.
pub const MAX_LINE: usize = 256 * 1024;
