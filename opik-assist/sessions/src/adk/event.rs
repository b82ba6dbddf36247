//! One event to and from the columns of a row.

use opik_core::session::SessionErrorKind;
use opik_core::{Event, Part, SessionError, Timestamp};

use super::{content, document, exact, pickle};

/// What a database does to texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Whether events are documents of the newer layout.
    pub(crate) documents: bool,
    /// Whether JSON is kept as it was written. PostgreSQL orders keys and spells numbers anew.
    pub(crate) keeps_json: bool,
    /// Whether texts may have the character NUL.
    pub(crate) keeps_nul: bool,
}

/// An event as it goes into a row of ADK's tables, and what goes beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) id: String,
    pub(crate) invocation_id: String,
    pub(crate) author: String,
    pub(crate) timestamp: Timestamp,
    pub(crate) content: Option<String>,
    pub(crate) error_code: Option<String>,
    pub(crate) error_message: Option<String>,
    pub(crate) document: Option<String>,
    pub(crate) exact: Option<String>,
}

/// A row that was read.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) id: String,
    pub(crate) invocation_id: String,
    pub(crate) author: String,
    pub(crate) timestamp: Timestamp,
    pub(crate) content: Option<String>,
    pub(crate) actions: Option<Vec<u8>>,
    pub(crate) error_code: Option<String>,
    pub(crate) error_message: Option<String>,
    pub(crate) document: Option<String>,
    pub(crate) exact: Option<String>,
}

/// Longest texts of ADK's columns, in characters.
const NAME: usize = 256;
const MESSAGE: usize = 1_024;

/// What every database and this program hold as a time: up to 9999-12-30.
const LATEST: Timestamp = Timestamp::from_micros(253_402_128_000_000_000);

/// What stands in ADK's columns for a character that they cannot hold.
const STAND_IN: &str = "\u{fffd}";

impl Limits {
    fn plain(&self, text: &str, characters: usize) -> String {
        let cut: String = text.chars().take(characters).collect();
        if self.keeps_nul {
            cut
        } else {
            cut.replace('\0', STAND_IN)
        }
    }

    /// The same JSON without the escape of NUL, which PostgreSQL refuses.
    fn json(&self, text: String) -> String {
        if self.keeps_nul || !text.contains(r"\u0000") {
            return text;
        }
        let mut clean = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once('\\') {
            clean.push_str(before);
            // A backslash and what it escapes belong together: `\\u0000` is no NUL.
            if let Some(behind) = after.strip_prefix("u0000") {
                clean.push_str(STAND_IN);
                rest = behind;
            } else {
                clean.push('\\');
                let mut characters = after.chars();
                clean.extend(characters.next());
                rest = characters.as_str();
            }
        }
        clean.push_str(rest);
        clean
    }
}

/// Puts an event into columns. `not_before` keeps the times of a session in the order of its
/// events, because the Python program orders by them.
///
/// # Errors
/// When the event has a part that this version cannot store.
pub(crate) fn write(
    event: &Event,
    not_before: Timestamp,
    limits: Limits,
) -> Result<Written, SessionError> {
    let unknown = || {
        let text = "the message has a part of a kind that this version cannot store";
        SessionError::new(SessionErrorKind::Invalid, text)
    };
    let content = match &event.message {
        None => None,
        Some(message) => Some(limits.json(content::write(message).ok_or_else(unknown)?)),
    };
    let timestamp = event
        .timestamp
        .max(not_before)
        .max(Timestamp::EPOCH)
        .min(LATEST);
    let mut written = Written {
        id: event.id.clone(),
        invocation_id: limits.plain(&event.invocation_id, NAME),
        author: limits.plain(&event.author, NAME),
        timestamp,
        error_code: event
            .error_code
            .as_ref()
            .map(|text| limits.plain(text, NAME)),
        error_message: event
            .error_message
            .as_ref()
            .map(|text| limits.plain(text, MESSAGE)),
        content,
        document: None,
        exact: None,
    };
    if limits.documents {
        let text = document::write(event, written.content.as_deref(), timestamp);
        written.document = Some(limits.json(text.ok_or_else(unknown)?));
    }
    let spelled_anew = !limits.keeps_json
        && (!event.state_delta.is_empty()
            || event.message.as_ref().is_some_and(|message| {
                let is_json = |part: &Part| matches!(part, Part::ToolCall(_) | Part::ToolResult(_));
                message.parts.iter().any(is_json)
            }));
    let read_back = read(&written.found())?;
    written.exact = exact::difference(event, &read_back, spelled_anew);
    Ok(written)
}

impl Written {
    /// The row that will be found, without what is beside it.
    fn found(&self) -> Found {
        Found {
            id: self.id.clone(),
            invocation_id: self.invocation_id.clone(),
            author: self.author.clone(),
            timestamp: self.timestamp,
            content: self.content.clone(),
            actions: None,
            error_code: self.error_code.clone(),
            error_message: self.error_message.clone(),
            document: self.document.clone(),
            exact: None,
        }
    }
}

/// Reads an event from columns.
///
/// # Errors
/// [`SessionErrorKind::Corrupt`] when a column does not hold what its layout says.
pub(crate) fn read(row: &Found) -> Result<Event, SessionError> {
    let corrupt = |what: &str| {
        SessionError::new(
            SessionErrorKind::Corrupt,
            format!("{what} of an event cannot be read"),
        )
    };
    let mut event = Event::new(
        row.id.as_str(),
        row.invocation_id.as_str(),
        row.author.as_str(),
        row.timestamp,
    );
    if let Some(text) = &row.document {
        event = document::read(event, text).ok_or_else(|| corrupt("the document"))?;
    } else {
        event.error_code.clone_from(&row.error_code);
        event.error_message.clone_from(&row.error_message);
        // SQLAlchemy may write a missing JSON value as the text `null`.
        if let Some(text) = row.content.as_deref().filter(|text| *text != "null") {
            let message = content::read(text, &row.author);
            event.message = Some(message.ok_or_else(|| corrupt("the content"))?);
        }
        let actions = row.actions.as_deref();
        event.state_delta = actions.and_then(pickle::state_delta).unwrap_or_default();
    }
    match &row.exact {
        Some(text) => exact::restore(event, text).ok_or_else(|| corrupt("the exact form")),
        None => Ok(event),
    }
}
