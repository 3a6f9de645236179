//! A stream of fragments gives the same messages or the same failure, independent of its chunks.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lyncsh::psrp::fragment::Defragmenter;

const LIMIT: usize = 1 << 20;

fuzz_target!(|input: (u8, &[u8])| {
    let (cut, stream) = input;
    let mut whole = Defragmenter::with_limit(LIMIT);
    let mut pieces = Defragmenter::with_limit(LIMIT);
    let expected = whole.push(stream);
    let mut joined = Vec::new();
    for piece in stream.chunks(usize::from(cut).max(1)) {
        match pieces.push(piece) {
            Ok(messages) => joined.extend(messages),
            Err(_) => {
                assert!(expected.is_err());
                return;
            }
        }
    }
    assert_eq!(expected.expect("the pieces were good"), joined);
    assert_eq!(whole.is_partial(), pieces.is_partial());
});
