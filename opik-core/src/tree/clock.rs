//! Clocks of different hosts: a server's span is moved into its client's.
//!
//! The rule is that of CRISP (USENIX ATC 2022): an only child that crosses a client-to-server
//! border, lies partly outside its parent and is not longer than it (1 % tolerance) is on another
//! clock. Instead of being cut it is moved, with all that is below it, to the middle of the parent.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Interval;
use super::build::{Children, Draft};
use super::quality::QualityKind;
use crate::Span;

/// What the metadata of a span may say about where it ran.
#[derive(Default)]
struct Place {
    kind: Option<String>,
    host: Option<String>,
}

/// Reads `kind` (or `span.kind`) and `host` (or `host.name`) of the metadata.
fn place(span: &Span) -> Place {
    #[derive(Deserialize)]
    struct Fields<'j> {
        #[serde(borrow)]
        kind: Option<&'j RawValue>,
        #[serde(borrow, rename = "span.kind")]
        span_kind: Option<&'j RawValue>,
        #[serde(borrow)]
        host: Option<&'j RawValue>,
        #[serde(borrow, rename = "host.name")]
        host_name: Option<&'j RawValue>,
    }
    // Any JSON may be there; only a text says something.
    let text = |raw: Option<&RawValue>| serde_json::from_str::<String>(raw?.get()).ok();
    let Some(metadata) = span.metadata.as_ref().map(crate::Json::as_str) else {
        return Place::default();
    };
    if !metadata.contains("kind\"") && !metadata.contains("\"host") {
        return Place::default();
    }
    let Ok(fields) = serde_json::from_str::<Fields<'_>>(metadata) else {
        return Place::default();
    };
    Place {
        kind: text(fields.kind)
            .or_else(|| text(fields.span_kind))
            .map(|kind| kind.to_ascii_lowercase()),
        host: text(fields.host).or_else(|| text(fields.host_name)),
    }
}

/// Moves the subtrees of servers whose clock differs into their client's interval.
pub(super) fn centre_skewed_servers(draft: &mut Draft, children: &Children) {
    let places: Vec<Place> = draft.spans.iter().map(place).collect();
    if places
        .iter()
        .all(|place| place.kind.is_none() && place.host.is_none())
    {
        return;
    }
    // Top-down, so that a shift of a parent has reached its children before they are looked at.
    let order = draft.top_down(children);
    let mut shift = vec![0i64; draft.spans.len()];
    for &index in &order {
        let Some(parent) = draft.parent.get(index).copied().flatten() else {
            continue;
        };
        let inherited = shift.get(parent).copied().unwrap_or(0);
        let Some(&own) = draft.interval.get(index) else {
            continue;
        };
        let Some(&outer) = draft.interval.get(parent) else {
            continue;
        };
        let mut moved = Interval {
            start: own.start.plus_micros(inherited),
            end: own.end.plus_micros(inherited),
        };
        let mut total = inherited;
        if children.of(parent).len() == 1
            && crosses(
                &places,
                draft.parent.get(parent).copied().flatten(),
                parent,
                index,
            )
            && !outer.encloses(moved)
            && i128::from(moved.micros()) * 100 <= i128::from(outer.micros()) * 101
        {
            let inner = moved.micros().min(outer.micros());
            let start = outer.start.plus_micros((outer.micros() - inner) / 2);
            let by = start.micros_since(moved.start);
            moved = Interval {
                start,
                end: start.plus_micros(inner),
            };
            total = total.saturating_add(by);
            draft.report(QualityKind::ClockSkew, index, Some(by));
        }
        if let (Some(slot), Some(times)) = (shift.get_mut(index), draft.interval.get_mut(index)) {
            *slot = total;
            *times = moved;
        }
    }
}

/// Whether the call from `parent` to `child` goes from one host or process to another.
fn crosses(places: &[Place], grand: Option<usize>, parent: usize, child: usize) -> bool {
    let kind = |index: usize| places.get(index).and_then(|place| place.kind.as_deref());
    let host = |index: usize| {
        places
            .get(index)
            .and_then(|place| place.host.as_deref())
            .filter(|host| !host.is_empty())
    };
    let client_to_server = kind(parent) == Some("client") && kind(child) == Some("server");
    let through_one = kind(child) == Some("server")
        && kind(parent) != Some("server")
        && grand.is_some_and(|grand| kind(grand) == Some("server"));
    let other_host = matches!((host(parent), host(child)), (Some(a), Some(b)) if a != b);
    client_to_server || through_one || other_host
}
