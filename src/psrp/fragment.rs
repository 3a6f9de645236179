//! Fragments (MS-PSRP 2.2.4): messages in pieces of limited size.

use std::collections::VecDeque;

/// Object id and fragment id (8 bytes each, big-endian), flags, length (4 bytes, big-endian).
pub const HEADER: usize = 21;
const START: u8 = 1;
const END: u8 = 2;

/// Maximum size of a received message, in bytes: bad input must be an error long before memory runs out.
const MAX_MESSAGE: usize = 256 << 20;

/// Splits messages into fragments. Object ids count up over the whole session, pool and pipelines together,
/// in each direction: use one fragmenter per direction.
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
    /// Returns the fragments of one encoded message, each with a payload of at most `max_payload` bytes
    /// (minimum one).
    pub fn cut(&mut self, message: &[u8], max_payload: usize) -> Vec<Vec<u8>> {
        let object = self.next_object_id;
        self.next_object_id += 1;
        // The length field has 32 bits, and PowerShell reads it as signed.
        let size = max_payload.clamp(1, i32::MAX as usize);
        let mut pieces: Vec<&[u8]> = message.chunks(size).collect();
        if pieces.is_empty() {
            pieces.push(&[]);
        }
        let last = pieces.len() - 1;
        pieces
            .into_iter()
            .enumerate()
            .map(|(index, piece)| {
                let flags = if index == 0 { START } else { 0 } | if index == last { END } else { 0 };
                let mut fragment = Vec::with_capacity(HEADER + piece.len());
                fragment.extend(object.to_be_bytes());
                fragment.extend((index as u64).to_be_bytes());
                fragment.push(flags);
                fragment.extend((piece.len() as u32).to_be_bytes());
                fragment.extend(piece);
                fragment
            })
            .collect()
    }
}

/// Error of joining fragments.
#[derive(Debug, thiserror::Error)]
pub enum FragmentError {
    /// The peer or an intermediary dropped, repeated or reordered a fragment (MS-PSRP 2.2.4).
    #[error("fragment {got} of object {object} is out of order: expected fragment {expected}")]
    OutOfOrder { object: u64, expected: u64, got: u64 },
    /// The fragments of one message exceed the limit of the defragmenter.
    #[error("a received message is larger than {0} bytes")]
    TooLarge(usize),
}

/// Joins the byte stream of one pool or pipeline in one direction into encoded messages. Fragments and
/// headers may be split anywhere; one piece may contain many. After an error every further push fails.
#[derive(Debug)]
pub struct Defragmenter {
    /// Bytes of an incomplete fragment header.
    header: VecDeque<u8>,
    /// The current fragment: its end flag, and the number of missing bytes.
    fragment: Option<(bool, usize)>,
    message: Option<Partial>,
    limit: usize,
}

/// An incomplete message.
#[derive(Debug)]
struct Partial {
    object: u64,
    next: u64,
    bytes: Vec<u8>,
}

impl Default for Defragmenter {
    fn default() -> Self {
        Self::with_limit(MAX_MESSAGE)
    }
}

impl Defragmenter {
    /// Creates a defragmenter that refuses messages of more than `limit` bytes.
    pub fn with_limit(limit: usize) -> Self {
        Self { header: VecDeque::with_capacity(HEADER), fragment: None, message: None, limit }
    }

    /// Processes a piece of any size; returns every message that it completes.
    pub fn push(&mut self, piece: &[u8]) -> Result<Vec<Vec<u8>>, FragmentError> {
        let mut whole = Vec::new();
        let mut rest = piece;
        loop {
            let Some((ends, missing)) = self.fragment else {
                let (taken, after) = rest.split_at(rest.len().min(HEADER - self.header.len()));
                self.header.extend(taken);
                rest = after;
                if self.header.len() < HEADER {
                    return Ok(whole);
                }
                // The header stays in place on an error, so that the next push fails in the same way.
                self.begin()?;
                self.header.clear();
                continue;
            };
            let (taken, after) = rest.split_at(rest.len().min(missing));
            rest = after;
            if let Some(message) = &mut self.message {
                message.bytes.extend_from_slice(taken);
            }
            if taken.len() < missing {
                self.fragment = Some((ends, missing - taken.len()));
                return Ok(whole);
            }
            self.fragment = None;
            if ends {
                whole.extend(self.message.take().map(|message| message.bytes));
            }
        }
    }

    /// Returns whether a message is incomplete.
    pub fn is_partial(&self) -> bool {
        self.message.is_some() || !self.header.is_empty()
    }

    /// Reads the complete header.
    fn begin(&mut self) -> Result<(), FragmentError> {
        let number = |range: std::ops::Range<usize>| {
            self.header.range(range).fold(0u64, |number, byte| (number << 8) | u64::from(*byte))
        };
        let (object, id, flags, length) = (number(0..8), number(8..16), number(16..17) as u8, number(17..21));
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let (expected, begun) = match &self.message {
            Some(partial) if partial.object == object => (partial.next, partial.bytes.len()),
            Some(partial) => {
                return Err(FragmentError::OutOfOrder { object, expected: partial.next, got: id });
            }
            None => (0, 0),
        };
        if id != expected || (flags & START != 0) != (id == 0) {
            return Err(FragmentError::OutOfOrder { object, expected, got: id });
        }
        if begun.saturating_add(length) > self.limit {
            return Err(FragmentError::TooLarge(self.limit));
        }
        let message = self.message.get_or_insert_with(|| Partial { object, next: 0, bytes: Vec::new() });
        message.next += 1;
        self.fragment = Some((flags & END != 0, length));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn object_ids_start_at_one_and_flags_mark_ends() {
        let mut fragmenter = Fragmenter::default();
        let one = fragmenter.cut(b"abc", 100);
        assert_eq!(one, [b"\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\x03\0\0\0\x03abc".to_vec()]);
        let three = fragmenter.cut(b"abcde", 2);
        assert_eq!(
            three.iter().map(|f| (f[7], f[15], f[16])).collect::<Vec<_>>(),
            [(2, 0, 1), (2, 1, 0), (2, 2, 2)]
        );
    }

    #[test]
    fn out_of_order_and_oversized_fragments_fail() {
        let mut fragmenter = Fragmenter::default();
        let fragments = fragmenter.cut(b"abcdef", 2);
        let mut defragmenter = Defragmenter::default();
        assert!(defragmenter.push(&fragments[0]).unwrap().is_empty());
        assert!(defragmenter.is_partial());
        assert!(matches!(
            defragmenter.push(&fragments[2]),
            Err(FragmentError::OutOfOrder { object: 1, expected: 1, got: 2 })
        ));
        assert!(defragmenter.push(&fragments[1]).is_err());

        let mut small = Defragmenter::with_limit(5);
        assert!(matches!(small.push(&fragments.concat()), Err(FragmentError::TooLarge(5))));
    }

    proptest! {
        #[test]
        fn messages_are_reassembled_at_any_split(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..6),
            payload in 1usize..80,
            cuts in prop::collection::vec(1usize..60, 1..20),
        ) {
            let mut fragmenter = Fragmenter::default();
            let stream: Vec<u8> =
                messages.iter().flat_map(|message| fragmenter.cut(message, payload).concat()).collect();
            let mut defragmenter = Defragmenter::default();
            let mut joined = Vec::new();
            let (mut rest, mut turn) = (&stream[..], 0);
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(cuts[turn % cuts.len()].min(rest.len()));
                joined.extend(defragmenter.push(piece).unwrap());
                rest = after;
                turn += 1;
            }
            prop_assert!(!defragmenter.is_partial());
            prop_assert_eq!(joined, messages);
        }

        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut defragmenter = Defragmenter::with_limit(1000);
            let _ = defragmenter.push(&bytes);
            let _ = defragmenter.push(&bytes);
        }
    }
}
