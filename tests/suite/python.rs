//! The Python with the packages of `tests/peers`.

/// Returns its path.
pub fn python() -> String {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/target/venv/bin/python");
    std::env::var("LYNCSH_TEST_PYTHON").unwrap_or_else(|_| own.to_owned())
}
