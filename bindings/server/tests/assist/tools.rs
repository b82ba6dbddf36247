//! Programs of the machine that tests run, and the word about a test that has to do without.

use std::io::Write as _;

/// The program that a variable names, or a word about the test that is skipped.
pub(crate) fn named(variable: &str, test: &str) -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the machine says where its programs are"
    )]
    let named = std::env::var(variable).ok().filter(|name| !name.is_empty());
    if named.is_none() {
        // Past the test harness, which hides what passing tests print.
        let line = format!("SKIPPED {test}: {variable} names no program\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    named
}
