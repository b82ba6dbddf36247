//! What the attribute refuses, and how it says so.

#[test]
fn what_cannot_be_observed_is_refused_with_a_reason() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
