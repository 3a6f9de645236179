//! Any line of the out-of-process framing parses to an element or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lyncsh::transport::stream::element::Element;

fuzz_target!(|line: &str| {
    let _ = Element::parse(line);
});
