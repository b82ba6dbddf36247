//! Putting tool calls together from their pieces.
//!
//! Servers disagree about what joins the pieces of a call, so the rule takes what is there:
//!
//! 1. With an index: the last call with that index and the same identifier, where one of the two
//!    may be missing. Servers that send whole calls all with index 0 differ in the identifier.
//! 2. Without an index, with an identifier: the call with that identifier.
//! 3. With neither: the last call, unless the piece has a name and begins anew.
//!
//! A call that is whole does not take a second beginning. The first name that is not empty stays.

use std::collections::HashSet;

use opik_core::chat::FinishReason;
use opik_core::session::ToolCall;

use super::made_id;
use crate::arguments;

/// A piece of a tool call; what is empty was not said.
#[derive(Debug, Default)]
pub(crate) struct Piece<'a> {
    pub(crate) index: Option<u64>,
    pub(crate) id: &'a str,
    pub(crate) name: &'a str,
    pub(crate) arguments: &'a str,
}

/// What a provider wants back with a call, after the identifier of the call.
pub(super) type Note = (String, String);

/// The calls of a reply so far.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    calls: Vec<Call>,
}

#[derive(Debug, Default)]
struct Call {
    index: Option<u64>,
    id: String,
    name: String,
    arguments: String,
    note: Option<String>,
}

impl Call {
    /// Whether a piece cannot be a part of this call, because it begins another one.
    fn is_over_for(&self, piece: &Piece<'_>) -> bool {
        let other_id = !self.id.is_empty() && !piece.id.is_empty() && self.id != piece.id;
        if other_id || piece.name.is_empty() || self.name.is_empty() {
            return other_id;
        }
        let same_id = !piece.id.is_empty() && self.id == piece.id;
        let whole = !self.arguments.trim().is_empty() && arguments::is_whole(&self.arguments);
        !same_id && (self.name != piece.name || whole && !piece.arguments.trim().is_empty())
    }
}

impl Calls {
    pub(crate) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Adds a piece.
    pub(crate) fn add(&mut self, piece: &Piece<'_>) {
        if piece.index.is_none()
            && piece.id.is_empty()
            && piece.name.is_empty()
            && piece.arguments.is_empty()
        {
            return;
        }
        let found = match (piece.index, piece.id) {
            (Some(index), _) => self
                .calls
                .iter()
                .rposition(|call| call.index == Some(index) && !call.is_over_for(piece)),
            (None, "") => {
                let last = self.calls.len().checked_sub(1);
                last.filter(|&last| {
                    self.calls
                        .get(last)
                        .is_some_and(|call| !call.is_over_for(piece))
                })
            }
            (None, id) => self.calls.iter().rposition(|call| call.id == id),
        };
        let found = found.unwrap_or_else(|| {
            self.calls.push(Call::default());
            self.calls.len() - 1
        });
        if let Some(call) = self.calls.get_mut(found) {
            call.index = call.index.or(piece.index);
            if call.id.is_empty() {
                piece.id.clone_into(&mut call.id);
            }
            if call.name.is_empty() {
                piece.name.clone_into(&mut call.name);
            }
            call.arguments.push_str(piece.arguments);
        }
    }

    /// Adds a whole call, with what the provider wants back with its result.
    pub(crate) fn add_whole(
        &mut self,
        id: &str,
        name: &str,
        arguments: &str,
        note: Option<String>,
    ) {
        self.calls.push(Call {
            index: None,
            id: id.to_owned(),
            name: name.to_owned(),
            arguments: arguments.to_owned(),
            note,
        });
    }

    /// Adds what the provider wants back with the result of the first call.
    pub(crate) fn note_first(&mut self, note: String) {
        if let Some(call) = self.calls.first_mut() {
            call.note = Some(note);
        }
    }

    /// The calls with unique identifiers, and the notes by identifier. `None` when a call has no
    /// name. A call that the limit of tokens cut is none.
    pub(crate) fn finish(
        &mut self,
        reason: &FinishReason,
        seed: u64,
    ) -> Option<(Vec<ToolCall>, Vec<Note>)> {
        let mut calls = std::mem::take(&mut self.calls);
        if *reason == FinishReason::Length {
            calls.retain(|call| arguments::is_whole(&call.arguments) && !call.arguments.is_empty());
        }
        let mut taken = HashSet::new();
        let (mut whole, mut notes) = (Vec::new(), Vec::new());
        for (number, call) in calls.into_iter().enumerate() {
            if call.name.is_empty() {
                return None;
            }
            let mut id = call.id;
            if id.is_empty() || !taken.insert(id.clone()) {
                id = made_id(seed, number);
                taken.insert(id.clone());
            }
            if let Some(note) = call.note {
                notes.push((id.clone(), note));
            }
            whole.push(ToolCall {
                id,
                name: call.name,
                arguments: arguments::written(&call.arguments),
            });
        }
        Some((whole, notes))
    }
}

#[cfg(test)]
mod tests;
