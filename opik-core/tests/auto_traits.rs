//! Public types can be shared and sent: an `Arc<dyn _>` of every provider crosses threads.

use opik_core::query::{Filter, Sort, SpanQuery, TraceQuery};
use opik_core::{
    Batch, ChatEvent, ChatModel, ChatRequest, ChatStream, Comment, Cursor, ErrorInfo, Event,
    ExportError, ExportReport, Exporter, FeedbackScore, Json, Message, ModelError, Page,
    PageRequest, Project, ScoreRecord, Session, SessionError, SessionKey, SessionStore,
    SourceError, Span, SpanId, Thread, Timestamp, Trace, TraceId, TraceSource, TraceTree, Usage,
};

fn shared<T: Send + Sync + Unpin + 'static>() {}
fn provider<T: Send + Sync + ?Sized + 'static>() {}
fn sent<T: Send + 'static>() {}
fn key<T: Eq + std::hash::Hash + Clone>() {}
fn error<T: std::error::Error + Send + Sync + 'static>() {}

/// It is the compiler that checks; the calls only have to be there.
#[test]
fn public_types_are_shared_and_sent() {
    shared::<(
        Trace,
        Span,
        Thread,
        Project,
        FeedbackScore,
        Comment,
        ErrorInfo,
        Usage,
        ScoreRecord,
    )>();
    shared::<(
        Json,
        Timestamp,
        TraceId,
        SpanId,
        TraceTree,
        Batch,
        ExportReport,
    )>();
    shared::<(
        Page<Span>,
        PageRequest,
        Cursor,
        Filter,
        Sort,
        TraceQuery,
        SpanQuery,
    )>();
    shared::<(Session, SessionKey, Event, Message, ChatRequest, ChatEvent)>();
    provider::<dyn Exporter>();
    provider::<dyn TraceSource>();
    provider::<dyn SessionStore>();
    provider::<dyn ChatModel>();
    sent::<ChatStream>();
    key::<(
        Json,
        Timestamp,
        TraceId,
        SpanId,
        SessionKey,
        Message,
        Usage,
        ErrorInfo,
        Cursor,
    )>();
    error::<ExportError>();
    error::<SourceError>();
    error::<SessionError>();
    error::<ModelError>();
}
