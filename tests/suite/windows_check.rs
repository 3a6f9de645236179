//! `tests/windows/run` on a machine that cannot check Windows.

use std::os::unix::fs::PermissionsExt;

use crate::program::Program;

/// Returns the exit code of `tests/windows/run` without rustup and the standard library for Windows.
fn exit_code(arguments: &[&str], ci: Option<&str>) -> i32 {
    let tools = tempfile::tempdir().unwrap();
    let rustc = tools.path().join("rustc");
    std::fs::write(&rustc, format!("#!/bin/sh\necho '{}'\n", tools.path().display())).unwrap();
    std::fs::set_permissions(&rustc, PermissionsExt::from_mode(0o700)).unwrap();
    std::os::unix::fs::symlink("/usr/bin/dirname", tools.path().join("dirname")).unwrap();
    let program = Program::new("/bin/bash").args([concat!(env!("CARGO_MANIFEST_DIR"), "/tests/windows/run")]);
    let program = program.args(arguments).env("PATH", tools.path()).env_remove("CI");
    let (code, _, err) = program.envs(ci.map(|ci| ("CI", ci))).run().parts();
    assert!(err.contains("WINDOWS WAS NOT CHECKED: "), "{err}");
    code
}

#[test]
fn a_skipped_windows_check_fails_in_ci() {
    assert_eq!(exit_code(&[], None), 75);
    assert_eq!(exit_code(&["--if-possible"], None), 0);
    assert_eq!(exit_code(&[], Some("true")), 75);
    assert_eq!(exit_code(&["--if-possible"], Some("true")), 75);
}
