//! Fragments (MS-PSRP 2.2.4): what carries messages over a transport in pieces of bounded size.

/// Cuts messages into fragments. Object ids count up over the whole session, pool and pipelines
/// together, in each direction: one fragmenter a direction.
#[derive(Debug)]
pub struct Fragmenter {
    pub next_object_id: u64,
}

impl Default for Fragmenter {
    fn default() -> Self {
        Self { next_object_id: 1 }
    }
}

impl Fragmenter {
    /// The fragments of one encoded message, each with at most `max_payload` bytes of it.
    pub fn cut(&mut self, message: &[u8], max_payload: usize) -> Vec<Vec<u8>> {
        let _ = (message, max_payload);
        todo!()
    }
}

/// Why a stream of fragments can't be joined.
#[derive(Debug, thiserror::Error)]
pub enum FragmentError {
    #[error("fragment {got} of object {object} came where {expected} was due")]
    OutOfOrder { object: u64, expected: u64, got: u64 },
    #[error("a message is larger than {0} bytes")]
    TooLarge(usize),
}

/// Joins one direction's byte stream of one pool or pipeline into encoded messages. A fragment, its
/// header even, may be cut anywhere; one piece may hold many.
#[derive(Debug, Default)]
pub struct Defragmenter {}

impl Defragmenter {
    /// Takes a piece of any size; gives every message that it completes.
    pub fn push(&mut self, piece: &[u8]) -> Result<Vec<Vec<u8>>, FragmentError> {
        let _ = piece;
        todo!()
    }

    /// Whether a message has begun and not ended.
    pub fn is_partial(&self) -> bool {
        todo!()
    }
}
