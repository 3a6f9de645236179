//! The sizes of out-of-process framing (OutOfProcTransportManager.cs).

/// The largest piece of a stream that goes into one Data.
pub const MAX_DATA: usize = 32_768;
/// The largest part of a message in one fragment (32,768 less the fragment's header).
pub const MAX_FRAGMENT_PAYLOAD: usize = 32_747;
/// The longest line that is read, in bytes. The longest that either side writes is a Data of
/// [`MAX_DATA`] bytes in base64, a sixth of this.
pub const MAX_LINE: usize = 256 * 1024;
