//! Any text parses to a value or an error; a value survives writing and reading.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lyncsh::psrp::clixml::{read, write};

fuzz_target!(|text: &str| {
    let Ok(value) = read(text) else { return };
    let _ = value.display_text();
    let written = write(&value);
    let again = read(&written).expect("written text can be read");
    // Compare texts, not values: NaN is not equal to itself.
    assert_eq!(write(&again), written);
});
