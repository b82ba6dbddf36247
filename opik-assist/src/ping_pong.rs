//! Two agents that hand over to each other again and again.
//!
//! The agent of a span is `agent`, `agent_name` or `gen_ai.agent.name` in its metadata; tool spans and
//! roles of a conversation (`user`, `assistant`, `tool`) are none. Turns are the topmost spans with an agent in order of their start, several of one agent in a row being one
//! turn; a span below one of the same agent is a part of its turn. A ping-pong is a stretch of at
//! least six turns in which only two agents take turns. It made no progress when at least half of
//! the turns after the first two say nearly what the same agent said within its last five turns (by
//! the measure of [similar replies](crate::repetition)).

use foldhash::HashMap;
use opik_core::tree::NodeId;
use opik_core::{Span, SpanType, TraceTree};

use crate::PerNode;
use crate::repetition::similar::Sketch;
use crate::spend::{Amount, Spend};

/// Least turns.
const LEAST: usize = 6;
/// Turns of the same agent that one is compared with.
const WINDOW: usize = 5;
/// Names of the field.
const FIELDS: [&str; 3] = ["agent", "agent_name", "gen_ai.agent.name"];
/// Roles of a conversation, which take turns by nature.
const ROLES: [&str; 6] = ["assistant", "function", "human", "system", "tool", "user"];

/// A stretch in which two agents take turns.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PingPong {
    /// The agents, in order of their first turn.
    pub agents: [String; 2],
    /// The first span of each turn, in order.
    pub turns: Vec<NodeId>,
    /// Turns that repeat what the same agent said before.
    pub repeats: usize,
    /// Whether most turns say something new; `None` when most say nothing that could be compared.
    pub progress: Option<bool>,
    /// From the start of the third turn to the end of the last, in microseconds.
    pub micros: i64,
    /// What was spent from the third turn on.
    pub spent: Amount,
}

/// A turn of an agent.
struct Turn {
    agent: usize,
    nodes: Vec<NodeId>,
}

/// Finds agents that take turns, the longest stretch first.
pub(crate) fn ping_pongs(tree: &TraceTree, spend: &Spend) -> Vec<PingPong> {
    let (agents, turns) = turns(tree);
    let mut found = Vec::new();
    let mut start = 0;
    while start + 1 < turns.len() {
        let agent = |place: usize| turns.get(place).map(|turn: &Turn| turn.agent);
        // Neighbours differ, so two back is the same agent while the stretch goes on.
        let mut end = start + 2;
        while end < turns.len() && agent(end) == agent(end - 2) {
            end += 1;
        }
        if let Some(stretch) = turns
            .get(start..end)
            .filter(|stretch| stretch.len() >= LEAST)
        {
            found.extend(describe(tree, spend, &agents, stretch));
        }
        // The last turn may begin the next stretch.
        start = end - 1;
    }
    found.sort_by_key(|found| std::cmp::Reverse(found.turns.len()));
    found
}

fn turns(tree: &TraceTree) -> (Vec<String>, Vec<Turn>) {
    let mut numbers: HashMap<String, usize> = HashMap::default();
    let mut names = Vec::new();
    let mut above: PerNode<Option<usize>> = PerNode::filled(tree, None);
    let mut steps = Vec::new();
    for node in tree.nodes() {
        let inherited = tree.parent(node).and_then(|parent| above.at(parent));
        let own = agent(tree.span(node)).map(|name| {
            *numbers.entry(name).or_insert_with_key(|name| {
                names.push(name.clone());
                names.len() - 1
            })
        });
        above.set(node, own.or(inherited));
        if let Some(own) = own.filter(|&own| inherited != Some(own)) {
            steps.push((tree.interval(node).start, node, own));
        }
    }
    steps.sort_unstable();
    let mut turns: Vec<Turn> = Vec::new();
    for (_, node, agent) in steps {
        match turns.last_mut() {
            Some(turn) if turn.agent == agent => turn.nodes.push(node),
            _ => turns.push(Turn {
                agent,
                nodes: vec![node],
            }),
        }
    }
    (names, turns)
}

fn agent(span: &Span) -> Option<String> {
    let metadata = span
        .metadata
        .as_ref()
        .filter(|_| span.kind() != &SpanType::Tool)?;
    // Most metadata names no agent, and parsing it is what would cost.
    if !metadata.as_str().contains("agent") {
        return None;
    }
    let fields: HashMap<String, serde_json::Value> = metadata.decode().ok()?;
    let name = FIELDS
        .iter()
        .find_map(|field| fields.get(*field)?.as_str())?;
    let is_role = ROLES.iter().any(|role| name.eq_ignore_ascii_case(role));
    (!name.is_empty() && !is_role).then(|| name.to_owned())
}

fn describe(
    tree: &TraceTree,
    spend: &Spend,
    agents: &[String],
    stretch: &[Turn],
) -> Option<PingPong> {
    let (first, second) = (stretch.first()?, stretch.get(1)?);
    let sketches: Vec<Option<Sketch>> = stretch
        .iter()
        .map(|turn| {
            let last = turn.nodes.last()?;
            tree.span(*last).output.as_ref().and_then(Sketch::of)
        })
        .collect();
    let repeats = (2..stretch.len()).filter(|&place| {
        let Some(own) = sketches.get(place).and_then(Option::as_ref) else {
            return false;
        };
        let earlier = (1..=WINDOW).filter_map(|back| place.checked_sub(2 * back));
        let mut earlier = earlier.filter_map(|place| sketches.get(place)?.as_ref());
        earlier.any(|earlier| own.is_like(earlier))
    });
    let repeats = repeats.count();
    let again = stretch.get(2..)?;
    let comparable = sketches.iter().skip(2).flatten().count();
    let known = comparable * 2 >= again.len();
    let mut spent = Amount::default();
    for node in again.iter().flat_map(|turn| &turn.nodes) {
        spent.add(spend.subtree.get(*node).copied().unwrap_or_default());
    }
    let begin = tree.interval(*again.first()?.nodes.first()?).start;
    let ends = again
        .iter()
        .flat_map(|turn| &turn.nodes)
        .map(|&node| tree.interval(node).end);
    let end = ends.max()?;
    Some(PingPong {
        agents: [
            agents.get(first.agent)?.clone(),
            agents.get(second.agent)?.clone(),
        ],
        turns: stretch
            .iter()
            .filter_map(|turn| turn.nodes.first().copied())
            .collect(),
        repeats,
        progress: known.then_some(repeats * 2 < again.len()),
        micros: end.micros_since(begin),
        spent,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spend::spend;
    use opik_core::{Json, SpanId, Timestamp, TraceId, Usage};
    use proptest::prelude::*;

    const SAID: &str = "please have a look at the plan that I made and tell me whether it is good enough for the task at hand";

    /// Turns by agents `a`, `b`, `c`; a capital letter says something new.
    fn found(turns: &str) -> Vec<(String, usize, usize, Option<bool>)> {
        let trace = TraceId::from_bytes([1; 16]);
        let spans = turns.chars().zip(0u8..).map(|(agent, number)| {
            let at = Timestamp::from_micros(i64::from(number) * 1_000);
            let mut span = Span::new(SpanId::from_bytes([number + 1; 16]), trace, at);
            span.end_time = Some(at.plus_micros(900));
            span.r#type = Some(SpanType::Llm);
            span.usage = Usage::of_tokens(10, 0);
            span.metadata =
                Json::parse(&format!(r#"{{"agent":"{}"}}"#, agent.to_ascii_lowercase())).ok();
            let new = SAID.replace(' ', &format!(" {number} "));
            span.output = Some(Json::string(if agent.is_uppercase() { &new } else { SAID }));
            span
        });
        let tree = TraceTree::from_spans(trace, spans.collect());
        let found = ping_pongs(&tree, &spend(&tree));
        found
            .iter()
            .map(|p| (p.agents.concat(), p.turns.len(), p.repeats, p.progress))
            .collect()
    }

    #[test]
    fn six_turns_of_two_agents_are_needed() {
        assert_eq!(found("ababab"), [("ab".to_owned(), 6, 4, Some(false))]);
        assert_eq!(found("caababbabc"), [("ab".to_owned(), 6, 4, Some(false))]);
        assert_eq!(found("ababa"), []);
        assert_eq!(found("abcabcabc"), []);
        assert_eq!(found("ABABAB"), [("ab".to_owned(), 6, 0, Some(true))]);
        assert_eq!(
            found("abababacacac"),
            [
                ("ab".to_owned(), 7, 5, Some(false)),
                ("ac".to_owned(), 6, 4, Some(false))
            ]
        );
        assert_eq!(found(""), []);
    }

    #[test]
    fn what_cannot_be_compared_is_said_and_roles_are_no_agents() {
        let trace = TraceId::from_bytes([1; 16]);
        let tree = |names: [&str; 2]| {
            let spans = (0..8u8).map(|number| {
                let at = Timestamp::from_micros(i64::from(number) * 1_000);
                let mut span = Span::new(SpanId::from_bytes([number + 1; 16]), trace, at);
                span.end_time = Some(at);
                let name = names[usize::from(number % 2)];
                span.metadata = Json::parse(&format!(r#"{{"agent_name":"{name}"}}"#)).ok();
                span
            });
            TraceTree::from_spans(trace, spans.collect())
        };
        let found = |names| {
            let tree = tree(names);
            ping_pongs(&tree, &spend(&tree))
                .first()
                .map(|found| (found.turns.len(), found.progress))
        };
        assert_eq!(found(["writer", "critic"]), Some((8, None)));
        assert_eq!(found(["Assistant", "user"]), None);
    }

    proptest! {
        #[test]
        fn stretches_are_those_of_the_definition(turns in "[abc]{0,24}") {
            let mut order: Vec<char> = turns.chars().collect();
            order.dedup();
            // Every maximal window of two agents, the slow way.
            let two = |window: &[char]| window.iter().enumerate().all(|(at, agent)| at < 2 || *agent == window[at - 2]);
            let mut expected = Vec::new();
            for start in 0..order.len() {
                for end in start + LEAST..=order.len() {
                    let grows = start > 0 && two(&order[start - 1..end]) || end < order.len() && two(&order[start..=end]);
                    if two(&order[start..end]) && !grows {
                        expected.push(end - start);
                    }
                }
            }
            let mut lengths: Vec<usize> = found(&turns).into_iter().map(|found| found.1).collect();
            lengths.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(lengths, expected);
        }
    }
}
