//! What the rules find in recorded runs of agents that failed.

use std::collections::BTreeMap;

use opik_assist::analyse;
use opik_assist::context::{Budget, pack};
use opik_assist::localise::localise;
use opik_core::TraceTree;
use opik_testkit::fixtures::labelled_traces;

/// Counts, so that a change of the rules shows what it does. The example `localisation` prints
/// the same with intervals, constants and a held-out half.
#[test]
fn hits_on_labelled_runs_do_not_change_unnoticed() {
    let mut sets: BTreeMap<String, (usize, usize, usize)> = BTreeMap::new();
    for run in ["agentrx", "who_and_when"]
        .into_iter()
        .flat_map(labelled_traces)
    {
        let Some(culprit) = run.culprit() else {
            continue;
        };
        let set = run.source.rsplit_once('/').unwrap().0.to_owned();
        let tree = TraceTree::build(run.trace, run.spans);
        let suspects = localise(&tree);
        let place = suspects
            .iter()
            .position(|suspect| tree.span(suspect.node).id == culprit);
        let counts = sets.entry(set).or_default();
        counts.0 += 1;
        counts.1 += usize::from(place == Some(0));
        counts.2 += usize::from(place.is_some_and(|place| place < 3));
    }
    let lines = sets.iter().map(|(set, (runs, first, top))| {
        format!("{set}: first in {first}, among three in {top} of {runs}")
    });
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @"
    agentrx/magentic: first in 6, among three in 9 of 23
    agentrx/tau: first in 0, among three in 2 of 11
    who_and_when/Algorithm-Generated: first in 33, among three in 48 of 62
    who_and_when/Hand-Crafted: first in 8, among three in 16 of 30
    ");
}

/// Counts, so that a change of the rules or of the packing shows what it does. The example `recall`
/// prints the second part for several budgets and with intervals.
#[test]
fn findings_and_packs_of_labelled_runs_do_not_change_unnoticed() {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    let (mut runs, mut lines, mut texts) = (0, 0, 0);
    for run in ["agentrx", "who_and_when"]
        .into_iter()
        .flat_map(labelled_traces)
    {
        let culprit = run.culprit();
        let tree = TraceTree::build(run.trace, run.spans);
        let evidence = analyse(&tree);
        for finding in &evidence.findings {
            *kinds.entry(format!("{:?}", finding.kind)).or_default() += 1;
        }
        let Some(culprit) = culprit else { continue };
        let question = "What went wrong in this run, and why?";
        let pack = pack(&tree, &evidence, question, &Budget::new(2_000));
        let span = pack.span(culprit);
        runs += 1;
        lines += usize::from(span.is_some());
        texts += usize::from(span.is_some_and(|span| span.with_text));
    }
    let kinds = kinds.iter().map(|(kind, count)| format!("{kind}: {count}"));
    insta::assert_snapshot!(kinds.collect::<Vec<_>>().join("\n"), @"
    CriticalPath: 241
    Culprit: 16
    DataQuality: 126
    Overview: 126
    RecoveredError: 35
    SimilarReplies: 6
    SwallowedError: 16
    TypedFailure: 33
    WhatIf: 243
    ");
    insta::assert_snapshot!(format!("of {runs} blamed steps {lines} have a line in 2,000 tokens, {texts} have text"), @"of 126 blamed steps 112 have a line in 2,000 tokens, 94 have text");
}
