//! Any text is a value or an error, and a value is written as what reads back to the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lyncsh::psrp::clixml::{read, write};

fuzz_target!(|text: &str| {
    let Ok(value) = read(text) else { return };
    let _ = value.display_text();
    let written = write(&value);
    let again = read(&written).expect("what was written is read");
    // Not the values: NaN is not itself.
    assert_eq!(write(&again), written);
});
