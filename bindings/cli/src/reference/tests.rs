use super::*;
use crate::render::sample::Sample;

#[test]
fn last_counts_back() {
    assert_eq!(steps_back("last").unwrap(), Some(0));
    assert_eq!(steps_back("last~12").unwrap(), Some(12));
    assert_eq!(steps_back("01941f29").unwrap(), None);
    for wrong in ["lastly", "last~", "last~x", "last~99999"] {
        assert_eq!(
            steps_back(wrong).unwrap_err().code(),
            Code::Usage,
            "{wrong}"
        );
    }
}

#[test]
fn a_span_is_found_by_either_end_and_only_if_it_is_the_only_one() {
    let mut sample = Sample::new();
    let root = sample.span("root", None, 0, 10);
    let child = sample.span("child", Some(root), 5, 6);
    let tree = sample.tree();
    let whole = child.to_string();
    let end = whole.get(28..).unwrap();
    let beginning = whole.get(..18).unwrap();
    let both = format!("{}…{}", whole.get(..8).unwrap(), whole.get(34..).unwrap());
    for text in [whole.as_str(), &whole.to_uppercase(), end, beginning, &both] {
        let node = span_in(&tree, text).unwrap();
        assert_eq!(tree.span(node).id, child, "{text}");
    }
    let ambiguous = span_in(&tree, whole.get(..8).unwrap()).unwrap_err();
    assert_eq!(ambiguous.code(), Code::Usage);
    assert!(ambiguous.next_step().unwrap().contains(&whole));
    assert_eq!(
        span_in(&tree, "ffff0000").unwrap_err().code(),
        Code::NotFound
    );
    assert_eq!(span_in(&tree, "abc").unwrap_err().code(), Code::Usage);
    assert_eq!(
        span_in(&tree, "hello").unwrap_err().code(),
        Code::NotFound,
        "no span has this name"
    );
}

#[test]
fn a_name_of_several_spans_is_refused_with_their_identifiers() {
    let mut sample = Sample::new();
    let root = sample.span("root", None, 0, 10);
    let spans: Vec<SpanId> = (0..7)
        .map(|at| sample.span("take_lock", Some(root), at, at + 1))
        .collect();
    let tree = sample.tree();
    let failure = span_in(&tree, "take_lock").unwrap_err();
    assert_eq!(failure.code(), Code::Usage);
    let hint = failure.next_step().unwrap();
    let listed = spans.iter().filter(|id| hint.contains(&id.to_string()));
    assert_eq!(listed.count(), 5, "{hint}");
}
