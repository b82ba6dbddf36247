//! Alignment of siblings whatever their order.

use std::collections::HashMap;

use opik_core::tree::NodeId;

use super::side::{Degree, Side};

/// Largest group that gets the best assignment; larger ones are matched by equal input.
const LIMIT: usize = 64;

/// Least affinity of a pair that is out of order: equal inputs, or clearly similar ones. Two calls
/// of one name at different places with unrelated inputs are two calls.
pub(super) const LEAST: u32 = 440;

/// Pairs of equal name and type, chosen for the largest sum of affinities.
pub(super) fn any_order(
    a: &Side<'_>,
    old: &[NodeId],
    b: &Side<'_>,
    new: &[NodeId],
) -> Vec<(NodeId, NodeId)> {
    let group = |side: &Side<'_>, nodes: &[NodeId]| {
        let mut groups: HashMap<u32, Vec<NodeId>> = HashMap::new();
        for &node in nodes {
            groups.entry(side.signature(node)).or_default().push(node);
        }
        groups
    };
    let others = group(b, new);
    let mut pairs = Vec::new();
    for (signature, nodes) in group(a, old) {
        let Some(candidates) = others.get(&signature) else {
            continue;
        };
        if nodes.len().max(candidates.len()) > LIMIT {
            pairs.extend(greedy(a, &nodes, b, candidates));
        } else {
            pairs.extend(best(a, &nodes, b, candidates));
        }
    }
    pairs.retain(|&(x, y)| a.affinity(x, b, y) >= Some(LEAST));
    pairs.sort_unstable();
    pairs
}

/// Those of equal input.
fn greedy(a: &Side<'_>, x: &[NodeId], b: &Side<'_>, y: &[NodeId]) -> Vec<(NodeId, NodeId)> {
    let mut waiting: HashMap<(u32, u64), Vec<NodeId>> = HashMap::new();
    for &node in y.iter().rev() {
        let key = b.key(node, Degree::Input);
        waiting.entry(key).or_default().push(node);
    }
    x.iter()
        .filter_map(|&node| {
            let other = waiting.get_mut(&a.key(node, Degree::Input))?.pop()?;
            Some((node, other))
        })
        .collect()
}

fn best(a: &Side<'_>, x: &[NodeId], b: &Side<'_>, y: &[NodeId]) -> Vec<(NodeId, NodeId)> {
    let affinity = |i: &NodeId, j: &NodeId| i64::from(a.affinity(*i, b, *j).unwrap_or(0));
    if x.len() > y.len() {
        let gains = |j: usize, i: usize| y.get(j).zip(x.get(i)).map_or(0, |(j, i)| affinity(i, j));
        let columns = assign(y.len(), x.len(), &gains);
        return columns
            .into_iter()
            .zip(y)
            .filter_map(|(i, &j)| Some((*x.get(i)?, j)))
            .collect();
    }
    let gains = |i: usize, j: usize| x.get(i).zip(y.get(j)).map_or(0, |(i, j)| affinity(i, j));
    let columns = assign(x.len(), y.len(), &gains);
    x.iter()
        .zip(columns)
        .filter_map(|(&i, j)| Some((i, *y.get(j)?)))
        .collect()
}

/// The Hungarian method with potentials: the column of each row such that the sum of gains is the
/// largest. `rows <= columns`; `O(rows² · columns)`.
#[expect(
    clippy::indexing_slicing,
    reason = "all indices are at most `rows` or `columns`, for which the tables are made"
)]
fn assign(rows: usize, columns: usize, gain: &dyn Fn(usize, usize) -> i64) -> Vec<usize> {
    // Row and column 0 are sentinels. row_of[j] is the row that column j is given to.
    let (mut row_price, mut column_price) = (vec![0i64; rows + 1], vec![0i64; columns + 1]);
    let mut row_of = vec![0usize; columns + 1];
    for row in 1..=rows {
        row_of[0] = row;
        let mut least = vec![i64::MAX; columns + 1];
        let mut came_from = vec![0usize; columns + 1];
        let mut done = vec![false; columns + 1];
        let mut column = 0;
        loop {
            done[column] = true;
            let (current, mut step, mut next) = (row_of[column], i64::MAX, 0);
            for j in (1..=columns).filter(|&j| !done[j]) {
                let cost = -gain(current - 1, j - 1) - row_price[current] - column_price[j];
                if cost < least[j] {
                    least[j] = cost;
                    came_from[j] = column;
                }
                if least[j] < step {
                    step = least[j];
                    next = j;
                }
            }
            for j in 0..=columns {
                if done[j] {
                    row_price[row_of[j]] += step;
                    column_price[j] -= step;
                } else if least[j] < i64::MAX {
                    least[j] -= step;
                }
            }
            column = next;
            if row_of[column] == 0 {
                break;
            }
        }
        while column != 0 {
            let previous = came_from[column];
            row_of[column] = row_of[previous];
            column = previous;
        }
    }
    let mut column_of = vec![0; rows];
    for (j, &row) in row_of.iter().enumerate().skip(1) {
        if row > 0 {
            column_of[row - 1] = j - 1;
        }
    }
    column_of
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The largest sum over all ways to give every row its own column.
    fn brute(gains: &[Vec<i64>], row: usize, used: &mut Vec<bool>) -> i64 {
        let Some(line) = gains.get(row) else { return 0 };
        let mut best = i64::MIN;
        for (j, gain) in line.iter().enumerate() {
            if !used[j] {
                used[j] = true;
                best = best.max(gain + brute(gains, row + 1, used));
                used[j] = false;
            }
        }
        best
    }

    proptest! {
        #[test]
        fn the_assignment_is_the_best_one(
            gains in (1..5usize, 0..3usize).prop_flat_map(|(rows, more)| {
                prop::collection::vec(prop::collection::vec(0..50i64, rows + more), rows)
            }),
        ) {
            let columns = assign(gains.len(), gains[0].len(), &|i, j| gains[i][j]);
            let mut distinct = columns.clone();
            distinct.sort_unstable();
            distinct.dedup();
            prop_assert_eq!(distinct.len(), gains.len());
            let sum: i64 = columns.iter().enumerate().map(|(i, &j)| gains[i][j]).sum();
            prop_assert_eq!(sum, brute(&gains, 0, &mut vec![false; gains[0].len()]));
        }
    }
}
