//! `tests/windows/run` on a machine that cannot check Windows.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// Returns the exit code of `tests/windows/run` without rustup and the standard library for Windows.
fn exit_code(arguments: &[&str], ci: Option<&str>) -> i32 {
    let tools = tempfile::tempdir().unwrap();
    let rustc = tools.path().join("rustc");
    std::fs::write(&rustc, format!("#!/bin/sh\necho '{}'\n", tools.path().display())).unwrap();
    std::fs::set_permissions(&rustc, PermissionsExt::from_mode(0o700)).unwrap();
    std::os::unix::fs::symlink("/usr/bin/dirname", tools.path().join("dirname")).unwrap();
    let mut command = Command::new("/bin/bash");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/windows/run")).args(arguments);
    command.env("PATH", tools.path()).env_remove("CI").envs(ci.map(|ci| ("CI", ci)));
    let output = command.output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("WINDOWS WAS NOT CHECKED: "), "{error}");
    output.status.code().unwrap()
}

#[test]
fn an_unchecked_windows_is_a_failure_unless_asked_outside_ci() {
    assert_eq!(exit_code(&[], None), 75);
    assert_eq!(exit_code(&["--if-possible"], None), 0);
    assert_eq!(exit_code(&[], Some("true")), 75);
    assert_eq!(exit_code(&["--if-possible"], Some("true")), 75);
}
