//! Tests that need a process of their own: they change what belongs to the whole process (limits, the
//! environment, the user), or count what belongs to it.
//!
//! Such a test is `#[ignore]`d, and run by another one through [`run`], which starts this very test binary
//! again.

#![allow(dead_code, missing_docs)] // each test file uses its own part of this
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::Command;

/// Says to a test that it is alone.
const ALONE: &str = "APL_TEST_ALONE";

/// Runs the ignored test `name`, alone, with these variables in its environment, and fails when it fails.
pub fn run<'a>(name: &str, variables: impl IntoIterator<Item = (&'a str, &'a str)>) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--ignored", "--nocapture", "--test-threads=1"]);
    let output = command.env(ALONE, "1").envs(variables).output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    // Without the second half, a test that was renamed would pass by not being there.
    assert!(output.status.success() && stdout.contains("1 passed"), "{name}: {stdout}\n{stderr}");
}

/// Is this the process of its own? Called by `cargo test -- --ignored` directly, such a test has nothing to do.
pub fn is_alone() -> bool {
    std::env::var_os(ALONE).is_some()
}

/// A variable that the other side has set.
pub fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

/// The open descriptors of this process.
pub fn descriptors() -> usize {
    // One of them is the folder that is being read.
    std::fs::read_dir("/proc/self/fd").unwrap().count() - 1
}

/// Waits until so many descriptors are open: threads that are done with theirs may not have closed them yet.
pub fn wait_for_descriptors(wanted: usize) {
    let begun = std::time::Instant::now();
    while descriptors() != wanted {
        let open = descriptors();
        assert!(
            begun.elapsed() < crate::support::PATIENCE,
            "{open} descriptors are open instead of {wanted}"
        );
        std::thread::yield_now();
    }
}
