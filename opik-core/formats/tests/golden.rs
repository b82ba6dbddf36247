//! What a small hand-written file of each format turns into.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs::File;
use std::path::PathBuf;

use opik_formats::{Format, Item, ReadOptions, Reader};

/// One line per record and problem.
fn read(name: &str, options: ReadOptions) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name);
    let mut lines = Vec::new();
    for item in Reader::new(File::open(path).unwrap(), options) {
        match item.unwrap() {
            Item::Batch(batch) => {
                lines.push("batch".to_owned());
                for trace in &batch.traces {
                    lines.push(format!("  trace {}", serde_json::to_string(trace).unwrap()));
                }
                for span in &batch.spans {
                    lines.push(format!("  span {}", serde_json::to_string(span).unwrap()));
                }
            }
            Item::Problem(problem) => lines.push(problem.to_string()),
        }
    }
    lines.join("\n")
}

#[test]
fn opik_records_in_every_wrapping() {
    let records = read("opik.jsonl", ReadOptions::default());
    insta::assert_snapshot!(records, @r#"
    batch
      trace {"id":"01941f29-7c00-7493-9838-62c3f1790444","name":"t1","start_time":"2025-01-01T00:00:00.000000Z","end_time":"2025-01-01T00:00:02.000000Z","input":{"b": 1.0, "a": 2},"last_updated_at":"2025-01-01T00:00:02.000000Z"}
      span {"id":"01941f29-7c00-7cdd-9698-e9ac8ad595ca","trace_id":"01941f29-7c00-7493-9838-62c3f1790444","type":"general","start_time":"2025-01-01T00:00:00.000000Z","metadata":{"k": 1,"source_type":"chain"},"last_updated_at":"2025-01-01T00:00:00.000000Z"}
    line 1: span: a member is not a UUID
    batch
      trace {"id":"01941f29-7c00-7493-9838-62c3f1790445","start_time":"2025-01-01T00:00:00.000000Z","last_updated_at":"2025-06-01T00:00:00.000000Z"}
    batch
      span {"id":"01941f29-7c00-7cdd-9698-e9ac8ad595cb","trace_id":"01941f29-7c00-7493-9838-62c3f1790445","type":"llm","start_time":"2025-01-01T00:00:00.000000Z","last_updated_at":"2025-01-01T00:00:00.000000Z","future":[1]}
    batch
      trace {"id":"01941f29-7c00-7493-9838-62c3f1790446","project_name":"shop","start_time":"2025-01-01T00:00:00.000000Z","last_updated_at":"2025-01-01T00:00:00.000000Z"}
    batch
      span {"id":"01941f29-7c00-7cdd-9698-e9ac8ad595cc","trace_id":"01941f29-7c00-7493-9838-62c3f1790446","start_time":"2025-01-01T00:00:00.000000Z","last_updated_at":"2025-01-01T00:00:00.000000Z"}
    batch
      trace {"id":"01941f29-7c00-7493-9838-62c3f1790447","start_time":"2025-01-01T00:00:00.000000Z","last_updated_at":"2025-01-01T00:00:00.000000Z"}
    line 7: trace: member `start_time` is missing
    batch
      span {"id":"01941f29-7c00-7cdd-9698-e9ac8ad595cd","trace_id":"01941f29-7c00-7493-9838-62c3f1790447","start_time":"2025-01-01T00:00:00.000000Z","last_updated_at":"2025-01-01T00:00:00.000000Z"}
    batch
      trace {"id":"01941f29-7c00-7493-9838-62c3f1790449","start_time":"2025-01-01T00:00:00.000000Z","last_updated_at":"2025-01-01T00:00:00.000000Z"}
    line 9: no known trace format: the members fit none
    line 9: not an object
    batch
      trace {"id":"01941f29-7c00-7493-9838-62c3f179044a","start_time":"2025-01-01T00:00:00.000000Z","last_updated_at":"2025-01-01T00:00:00.000000Z"}
      span {"id":"01941f29-7c00-7cdd-9698-e9ac8ad595ce","trace_id":"01941f29-7c00-7493-9838-62c3f179044a","start_time":"2025-01-01T00:00:00.000000Z","last_updated_at":"2025-01-01T00:00:00.000000Z"}
    "#);
}

#[test]
fn otlp_attributes_become_fields_and_the_rest_metadata() {
    let records = read("otlp.json", ReadOptions::default());
    insta::assert_snapshot!(records, @r#"
    batch
      trace {"id":"0167a80c-a420-7000-9c44-46abd1b0f9e0","name":"POST /answer","start_time":"2018-12-13T14:51:00.000000Z","end_time":"2018-12-13T14:51:01.000000Z","metadata":{"deployment.environment.name":"staging","host.name":"node-1","service.name":"shop","source_id":"5b8efff798038103d269b633813fc60c"},"error_info":{"exception_type":"error","message":"the model failed","traceback":"the model failed"},"last_updated_at":"2018-12-13T14:51:01.000000Z","thread_id":"session-9","environment":"staging"}
      span {"id":"0167a80c-a420-7000-ac61-14c2e0fad98a","trace_id":"0167a80c-a420-7000-9c44-46abd1b0f9e0","name":"POST /answer","start_time":"2018-12-13T14:51:00.000000Z","end_time":"2018-12-13T14:51:01.000000Z","metadata":{"flag":true,"host":"node-1","http.status":500,"kind":"server","list":[1,"b"],"map":{"k":"aGk="},"none":null,"ratio":0.5,"scope":"shop.agent","service":"shop","source_id":"eee19b7ec3c1b174"},"error_info":{"exception_type":"error","message":"the model failed","traceback":"the model failed"},"last_updated_at":"2018-12-13T14:51:01.000000Z","environment":"staging"}
      span {"id":"0167a80c-a420-7000-af4f-fe17d4bb07bf","trace_id":"0167a80c-a420-7000-9c44-46abd1b0f9e0","parent_span_id":"0167a80c-a420-7000-ac61-14c2e0fad98a","name":"chat gpt-4o","type":"llm","start_time":"2018-12-13T14:51:00.100000Z","end_time":"2018-12-13T14:51:00.900000Z","input":[{"role": "user", "content": "why?"}],"metadata":{"events":[{"name":"gave up","time":"2018-12-13T14:51:00.850000Z"}],"gen_ai.request.model":"gpt-4o","gen_ai.request.temperature":0.2,"host":"node-1","kind":"client","scope":"shop.agent","service":"shop","source_id":"eee19b7ec3c1b175"},"model":"gpt-4o-2024-08-06","provider":"openai","usage":{"completion_tokens":3,"prompt_tokens":12,"total_tokens":15},"error_info":{"exception_type":"RateLimitError","message":"slow down","traceback":"at chat()"},"last_updated_at":"2018-12-13T14:51:00.900000Z","environment":"staging"}
      span {"id":"0167a80c-a420-7000-ba97-753413b0c46a","trace_id":"0167a80c-a420-7000-9c44-46abd1b0f9e0","parent_span_id":"0167a80c-a420-7000-ac61-14c2e0fad98a","name":"plan","type":"general","start_time":"2018-12-13T14:51:00.000000Z","input":{"messages":[{"content":"first","role":"user"},{"content":"second"}]},"output":"done","metadata":{"host":"node-1","kind":"internal","scope":"openinference","service":"shop","source_id":"eee19b7ec3c1b176","source_type":"CHAIN"},"model":"claude","tags":["beta"],"usage":{"prompt_tokens":5},"last_updated_at":"2018-12-13T14:51:00.000000Z","environment":"staging"}
    line 96: span: it has no traceId
    line 102: span: it has no startTimeUnixNano
    "#);
}

#[test]
fn jaeger_references_tags_and_logs() {
    let records = read("jaeger.json", ReadOptions::default().project("jobs"));
    insta::assert_snapshot!(records, @r#"
    batch
      trace {"id":"01633ba4-1880-7000-bb55-fbd123eade71","project_name":"jobs","name":"HTTP GET /dispatch","start_time":"2018-05-07T17:26:40.000000Z","end_time":"2018-05-07T17:26:40.001500Z","metadata":{"hostname":"host-7","source_id":"abc123"},"error_info":{"exception_type":"Timeout","message":"redis timeout","traceback":"redis timeout"},"last_updated_at":"2018-05-07T17:26:40.001500Z"}
      span {"id":"01633ba4-1880-7000-a548-a7de5d6001ae","project_name":"jobs","trace_id":"01633ba4-1880-7000-bb55-fbd123eade71","name":"HTTP GET /dispatch","start_time":"2018-05-07T17:26:40.000000Z","end_time":"2018-05-07T17:26:40.001500Z","metadata":{"error":true,"events":[{"attributes":{"level":"info"},"name":"log","time":"2018-05-07T17:26:40.000200Z"}],"host":"host-7","http.status_code":500,"kind":"server","service":"frontend","source_id":"1"},"error_info":{"exception_type":"Timeout","message":"redis timeout","traceback":"redis timeout"},"last_updated_at":"2018-05-07T17:26:40.001500Z"}
      span {"id":"01633ba4-1880-7000-bbeb-3609ba64c994","project_name":"jobs","trace_id":"01633ba4-1880-7000-bb55-fbd123eade71","parent_span_id":"01633ba4-1880-7000-a548-a7de5d6001ae","name":"llm.call","type":"llm","start_time":"2018-05-07T17:26:40.000500Z","end_time":"2018-05-07T17:26:40.001200Z","metadata":{"service":"model","source_id":"2"},"model":"mistral","last_updated_at":"2018-05-07T17:26:40.001200Z"}
    line 47: span: it has no startTime
    "#);
}

#[test]
fn flat_span_lists_are_told_apart_by_their_source() {
    let records = read("flat.jsonl", ReadOptions::default());
    insta::assert_snapshot!(records, @r#"
    batch
      trace {"id":"0182ca94-c2b2-768b-993d-86c97e03850c","name":"GET /","start_time":"2022-08-23T12:02:03.058409Z","end_time":"2022-08-23T12:02:03.058509Z","metadata":{"source_id":"set/a.json/A"},"error_info":{"exception_type":"error","traceback":"error"},"last_updated_at":"2022-08-23T12:02:03.058509Z"}
      span {"id":"0182ca94-c2b2-768b-b08c-c825f6c065c6","trace_id":"0182ca94-c2b2-768b-993d-86c97e03850c","name":"GET /","start_time":"2022-08-23T12:02:03.058409Z","end_time":"2022-08-23T12:02:03.058509Z","metadata":{"host":"h1","kind":"server","service":"web","source_id":"1"},"error_info":{"exception_type":"error","traceback":"error"},"last_updated_at":"2022-08-23T12:02:03.058509Z"}
      span {"id":"0182ca94-c2b2-768b-8c80-dd3bd6ba6295","trace_id":"0182ca94-c2b2-768b-993d-86c97e03850c","parent_span_id":"0182ca94-c2b2-768b-b08c-c825f6c065c6","name":"call","start_time":"2022-08-23T12:02:03.058419Z","metadata":{"service":"db","source_id":"2"},"error_info":{"exception_type":"error","message":"lost","traceback":"lost"},"last_updated_at":"2022-08-23T12:02:03.058419Z"}
    line 1: span: a member is of type string, expected a whole number
    batch
      trace {"id":"0182ca94-c2b2-768b-992f-4d0bf24ce336","start_time":"2022-08-23T12:02:03.058409Z","end_time":"2022-08-23T12:02:03.058509Z","metadata":{"source_id":"set/b.json/A"},"last_updated_at":"2022-08-23T12:02:03.058509Z"}
      span {"id":"0182ca94-c2b2-768b-8e98-754e77159248","trace_id":"0182ca94-c2b2-768b-992f-4d0bf24ce336","start_time":"2022-08-23T12:02:03.058409Z","end_time":"2022-08-23T12:02:03.058509Z","metadata":{"source_id":"1"},"last_updated_at":"2022-08-23T12:02:03.058509Z"}
    "#);
}

#[test]
fn vyasa_events_nest_in_their_node() {
    let records = read("vyasa.jsonl", ReadOptions::default().batch_records(100));
    insta::assert_snapshot!(records, @r#"
    batch
      span {"id":"019b8d99-6d4b-7800-aeae-7ff72f78e1ff","trace_id":"019b8d99-6d4b-7800-a1db-af903a588de1","parent_span_id":"019b8d99-6d4b-7800-bbd7-784c81595b1a","name":"llm_call_completed","type":"llm","start_time":"2026-01-05T10:00:01.099500Z","end_time":"2026-01-05T10:00:02.000000Z","metadata":{"attempt":1,"error":"TIMEOUT_EXCEEDED","error_code":"TIMEOUT_EXCEEDED","event_type":"llm_call_completed","expert_name":"Worker","model_id":"qwen","node_name":"extract","path":"primary","project_id":"p","success":false},"model":"qwen","error_info":{"exception_type":"TIMEOUT_EXCEEDED","message":"TIMEOUT_EXCEEDED","traceback":"TIMEOUT_EXCEEDED"},"last_updated_at":"2026-01-05T10:00:02.000000Z"}
      span {"id":"019b8d99-6d4b-7800-9e87-ee70aec3e100","trace_id":"019b8d99-6d4b-7800-a1db-af903a588de1","parent_span_id":"019b8d99-6d4b-7800-bbd7-784c81595b1a","name":"llm_call_completed","type":"llm","start_time":"2026-01-05T10:00:02.050000Z","end_time":"2026-01-05T10:00:02.100000Z","metadata":{"attempt":2,"error":"refused","event_type":"llm_call_completed","expert_name":"Worker","model_id":"qwen","node_name":"extract","path":"primary","project_id":"p","success":false},"model":"qwen","tags":["retry"],"error_info":{"exception_type":"NodeError","message":"refused","traceback":"refused"},"last_updated_at":"2026-01-05T10:00:02.100000Z"}
      span {"id":"019b8d99-6d4b-7800-82e5-b556f44c58ab","trace_id":"019b8d99-6d4b-7800-a1db-af903a588de1","parent_span_id":"019b8d99-6d4b-7800-bbd7-784c81595b1a","name":"llm_call_completed","type":"llm","start_time":"2026-01-05T10:00:02.100000Z","end_time":"2026-01-05T10:00:02.500000Z","metadata":{"attempt":1,"event_type":"llm_call_completed","expert_name":"Brain","model_id":"llama","node_name":"extract","path":"fallback","project_id":"p","success":true,"tokens":{"completion_tokens":2,"prompt_tokens":7},"usage":{"completion_tokens":2,"prompt_tokens":7,"total_tokens":9}},"model":"llama","tags":["retry"],"usage":{"completion_tokens":2,"prompt_tokens":7,"total_tokens":9},"last_updated_at":"2026-01-05T10:00:02.500000Z"}
      span {"id":"019b8d99-6d4b-7800-b127-47530d443f58","trace_id":"019b8d99-6d4b-7800-a1db-af903a588de1","parent_span_id":"019b8d99-6d4b-7800-bbd7-784c81595b1a","name":"expert_fallback","start_time":"2026-01-05T10:00:02.500000Z","end_time":"2026-01-05T10:00:02.500000Z","metadata":{"event_type":"expert_fallback","fallback":"Brain","node_name":"extract","primary":"Worker","project_id":"p","reason":"refused"},"tags":["retry"],"last_updated_at":"2026-01-05T10:00:02.500000Z"}
      span {"id":"019b8d99-6d4b-7800-bbd7-784c81595b1a","trace_id":"019b8d99-6d4b-7800-a1db-af903a588de1","name":"extract","start_time":"2026-01-05T10:00:01.000000Z","end_time":"2026-01-05T10:00:03.000000Z","metadata":{"event_type":"node_execution","node_name":"extract","project_id":"p"},"last_updated_at":"2026-01-05T10:00:03.000000Z"}
      span {"id":"019b8d99-6d4b-7800-ace2-ec82d8f7eb46","trace_id":"019b8d99-6d4b-7800-a1db-af903a588de1","name":"extract","start_time":"2026-01-05T10:00:05.250000Z","end_time":"2026-01-05T10:00:06.250000Z","metadata":{"event_type":"node_execution","node_name":"extract","project_id":"p","attempt":2},"tags":["retry"],"last_updated_at":"2026-01-05T10:00:06.250000Z"}
      span {"id":"019b8d99-6d4b-7800-ab90-a8e9cf8c0b42","trace_id":"019b8d99-6d4b-7800-a1db-af903a588de1","name":"artifact_manifest_failed","start_time":"2026-01-05T10:00:06.500000Z","end_time":"2026-01-05T10:00:06.500000Z","metadata":{"error_message":"no rq","error_type":"ValueError","event_type":"artifact_manifest_failed","project_id":"p"},"error_info":{"exception_type":"ValueError","message":"no rq","traceback":"no rq"},"last_updated_at":"2026-01-05T10:00:06.500000Z"}
      span {"id":"019b8d99-6d4b-7800-b0fa-7e4434d95908","trace_id":"019b8d99-6d4b-7800-a1db-af903a588de1","name":"artifact_manifest_written","start_time":"2026-01-05T10:00:06.750000Z","end_time":"2026-01-05T10:00:06.750000Z","metadata":{"event_type":"artifact_manifest_written","project_id":"p"},"last_updated_at":"2026-01-05T10:00:06.750000Z"}
      span {"id":"019b8d99-6d4b-7800-99b0-1d8db5510bba","trace_id":"019b8d99-6d4b-7800-a1db-af903a588de1","name":"system_failure","start_time":"2026-01-05T10:00:07.000000Z","end_time":"2026-01-05T10:00:07.000000Z","metadata":{"error":"disk full","error_type":"OSError","event_type":"system_failure","node_name":null,"project_id":"p"},"error_info":{"exception_type":"OSError","message":"disk full","traceback":"disk full"},"last_updated_at":"2026-01-05T10:00:07.000000Z"}
    line 11: event: it has no event_type or no job_id
    line 12: event: it has no timestamp that is a date or a number
    batch
      trace {"id":"019b8d99-6d4b-7800-a1db-af903a588de1","name":"vyasa job","start_time":"2026-01-05T10:00:01.000000Z","end_time":"2026-01-05T10:00:07.000000Z","metadata":{"job_id":"job-1","source_id":"job-1","project_id":"p"},"error_info":{"exception_type":"OSError","message":"disk full","traceback":"disk full"},"last_updated_at":"2026-01-05T10:00:07.000000Z"}
      span {"id":"019b8d99-6d4b-7800-8563-f2bc014b52fc","trace_id":"019b8d99-6d4b-7800-a1db-af903a588de1","name":"llm_call_completed","type":"llm","start_time":"2026-01-05T10:00:05.990000Z","end_time":"2026-01-05T10:00:06.000000Z","metadata":{"event_type":"llm_call_completed","node_name":"never finished","tokens":11},"usage":{"total_tokens":11},"last_updated_at":"2026-01-05T10:00:06.000000Z"}
    "#);
}

#[test]
fn a_format_that_is_given_is_not_guessed() {
    let records = read("vyasa.jsonl", ReadOptions::default().format(Format::Opik));
    assert!(!records.contains("batch"), "{records}");
    assert_eq!(records.lines().count(), 12);
    for format in Format::ALL {
        assert_eq!(Format::find(&format.to_string()), Some(format));
    }
}
