//! From the environment to the server: what `from_env` does with settings that are on.
#![cfg(feature = "rest")]
#![expect(clippy::unwrap_used, reason = "tests")]

use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opik_core::rest::OpikClient;
use opik_core::settings::{Off, OpikSettings, Setting};
use opik_core::{SpanType, Trace, TraceId};
use opik_observe::spool::{Destination, inspect, inspect_destinations};
use opik_observe::{OpikRecorder, Policy, Recorder, from_settings, from_settings_with};
use opik_testkit::StubServer;
use opik_testkit::doubles::free_port;
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

const LONG: Duration = Duration::from_secs(60);

fn settings(pairs: &[(&str, &str)]) -> OpikSettings {
    OpikSettings::builder().load_from(&|name: &str| {
        let (_, value) = pairs.iter().find(|(other, _)| *other == name)?;
        Some(OsString::from(value))
    })
}

fn start(pairs: &[(&str, &str)]) -> OpikRecorder {
    from_settings(settings(pairs))
}

fn record(recorder: &Recorder) -> Option<TraceId> {
    let mut trace = recorder.trace("answer");
    trace.input("a secret question").thread_id("thread");
    trace.span("call", SpanType::Llm).model("m", "p");
    let id = trace.trace_id();
    trace.end();
    id
}

/// The trace as the server has it, once it does.
fn read_back(client: &OpikClient, id: TraceId) -> Trace {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    wait_for(|| runtime.block_on(client.find_trace(id)).unwrap())
}

#[test]
fn what_is_recorded_is_at_the_server_that_the_environment_names() {
    let Some(stub) = StubServer::start("what_is_recorded_is_at_the_server").unwrap() else {
        return;
    };
    let base = format!("http://127.0.0.1:{}", stub.port());
    let opik = start(&[
        ("OPIK_ENABLED", "yes"),
        ("OPIK_BASE_URL", &base),
        ("OPIK_API_KEY", "s3cr3t"),
        ("OPIK_ENVIRONMENT", "staging"),
        ("OPIK_TIMEOUT_SECONDS", "30"),
    ]);
    assert_eq!(opik.problems, []);
    let id = record(&opik.recorder).unwrap();
    let report = opik.guard.shutdown(LONG);
    assert!(report.complete, "{report:?}");
    let branch = &report.statistics.branches[0];
    assert_eq!(branch.exported - branch.start_rows, 2, "{report:?}");

    let found = read_back(&opik.client.unwrap(), id);
    assert_eq!(found.environment.as_deref(), Some("staging"));
    assert_eq!((found.input, found.span_count), (None, Some(1)));
    let requests = stub.requests().unwrap();
    let batch = requests
        .iter()
        .find(|request| request["path"] == "/api/v1/private/traces/batch")
        .unwrap();
    assert_eq!(batch["body"]["traces"][0]["project_name"], "vyasa");
    let header = |name: &str| {
        let headers = batch["headers"].as_array().unwrap().iter();
        let mut named = headers.filter(|pair| pair[0].as_str().unwrap().eq_ignore_ascii_case(name));
        named
            .next()
            .map(|pair| pair[1].as_str().unwrap().to_owned())
    };
    assert_eq!(header("authorization").as_deref(), Some("s3cr3t"));
    assert_eq!(header("comet-workspace").as_deref(), Some("default"));
    // No content, by default.
    assert!(!batch.to_string().contains("a secret question"), "{batch}");
}

/// Asks again until there is an answer.
fn wait_for<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LONG;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "it does not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_was_recorded_while_the_server_was_away_arrives_from_the_spool() {
    let port = free_port().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let base = format!("http://127.0.0.1:{port}/api");
    let pairs = [
        ("OPIK_ENABLED", "1"),
        ("OPIK_URL_OVERRIDE", base.as_str()),
        ("OPIK_PROJECT_NAME", "shop"),
        ("OPIK_SPOOL_DIR", folder.path().to_str().unwrap()),
    ];
    let opik = start(&pairs);
    let id = record(&opik.recorder).unwrap();
    let report = opik.guard.shutdown(LONG);
    let branch = &report.statistics.branches[0];
    assert_eq!(branch.exported - branch.start_rows, 2, "{report:?}");
    let state = |path: &Path| inspect(path).unwrap();
    let spool = Destination::new(&base, "default").directory(folder.path());
    assert_eq!(state(&spool).records, branch.exported);
    drop((opik.recorder, opik.spool));

    let name = "what_was_recorded_while_the_server_was_away";
    if StubServer::start(name).unwrap().is_none() {
        return;
    }
    let _stub = wait_for(|| StubServer::start_on(port).unwrap());
    let again = start(&pairs);
    // A segment goes when all of it was taken.
    wait_for(|| (state(&spool).segments == 0).then_some(()));
    let found = read_back(again.client.as_ref().unwrap(), id);
    assert_eq!(
        (found.name.as_deref(), found.span_count),
        (Some("answer"), Some(1))
    );
}

#[test]
fn what_waits_for_one_server_or_workspace_is_not_sent_to_another() {
    if StubServer::start("what_waits_for_one_server")
        .unwrap()
        .is_none()
    {
        return;
    }
    let port = free_port().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let nobody = format!("http://127.0.0.1:{}/api", free_port().unwrap());
    let present = format!("http://127.0.0.1:{port}/api");
    let run = |url: &str, workspace: &str| {
        let opik = start(&[
            ("OPIK_ENABLED", "1"),
            ("OPIK_URL_OVERRIDE", url),
            ("OPIK_WORKSPACE", workspace),
            ("OPIK_API_KEY", "s3cr3t"),
            ("OPIK_TIMEOUT_SECONDS", "30"),
            ("OPIK_SPOOL_DIR", folder.path().to_str().unwrap()),
            ("OPIK_SPOOL_MODE", "write_ahead"),
        ]);
        assert_eq!(opik.problems, []);
        let id = record(&opik.recorder).unwrap();
        assert!(opik.guard.shutdown(LONG).complete);
        (id, opik.spool.unwrap())
    };
    // For a server that is away, and for another workspace of one that comes back.
    let (away, _) = run(&nobody, "default");
    let (other, _) = run(&present, "other");
    let stub = wait_for(|| StubServer::start_on(port).unwrap());
    // The spool of the server that is there holds all that it is to send, and is then empty.
    let (own, spool) = run(&present, "default");
    assert!(spool.drain(LONG), "{:?}", spool.statistics());
    // A segment goes when all of it was taken.
    let directory = Destination::new(&present, "default").directory(folder.path());
    wait_for(|| (inspect(&directory).unwrap().segments == 0).then_some(()));
    let requests = stub.requests().unwrap();
    let sent_as_default = |id: TraceId| {
        let of_default = |request: &&serde_json::Value| {
            let text = request["headers"].to_string();
            request.to_string().contains(&id.to_string()) && text.contains("\"default\"")
        };
        requests.iter().any(|request| of_default(&request))
    };
    assert!(sent_as_default(own));
    assert!(!sent_as_default(away) && !sent_as_default(other));
    let waiting = inspect_destinations(folder.path()).unwrap();
    let mut waiting: Vec<_> = waiting
        .iter()
        .map(|waiting| {
            let destination = waiting.destination.as_ref().unwrap();
            let is_there = waiting.state.records > 0;
            (destination.base_url(), destination.workspace(), is_there)
        })
        .collect();
    waiting.sort_by_key(|(url, workspace, _)| (url.contains(&present), *workspace));
    let (nobody, present) = (format!("{nobody}/"), format!("{present}/"));
    assert_eq!(
        waiting,
        [
            (nobody.as_str(), "default", true),
            (present.as_str(), "default", false),
            (present.as_str(), "other", true)
        ]
    );
    // No key anywhere, also not in the notes for people.
    for waiting in inspect_destinations(folder.path()).unwrap() {
        for entry in std::fs::read_dir(waiting.directory).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            assert!(!String::from_utf8_lossy(&bytes).contains("s3cr3t"));
        }
    }
}

#[test]
fn a_policy_of_the_program_is_that_of_the_branch() {
    let Some(stub) = StubServer::start("a_policy_of_the_program").unwrap() else {
        return;
    };
    let base = stub.base_url();
    let pairs = [
        ("OPIK_ENABLED", "1"),
        ("OPIK_URL_OVERRIDE", base.as_str()),
        ("OPIK_TIMEOUT_SECONDS", "30"),
    ];
    let found = |opik: OpikRecorder| {
        let mut trace = opik.recorder.trace("answer");
        trace.metadata("job_id", "17").tag("checkout");
        let id = trace.trace_id().unwrap();
        trace.end();
        assert!(opik.guard.shutdown(LONG).complete);
        read_back(&opik.client.unwrap(), id)
    };
    let default = found(start(&pairs));
    assert_eq!(default.metadata, None);
    assert_eq!(default.tags, ["checkout"]);
    let policy = Policy::metadata_only().allow_metadata(["job_id"]);
    let chosen = found(from_settings_with(settings(&pairs), policy));
    let metadata = serde_json::to_value(chosen.metadata).unwrap();
    assert_eq!(metadata["job_id"], "17");
}

#[test]
fn project_and_environment_are_those_of_all_branches_and_the_program_wins_in_any_order() {
    let pairs = [
        ("OPIK_ENABLED", "on"),
        ("OPIK_BASE_URL", "http://127.0.0.1:9"),
        ("OPIK_PROJECT_NAME", "of settings"),
        ("OPIK_ENVIRONMENT", "staging"),
        ("OPIK_DEFAULT_FLUSH_TIMEOUT", "0.1"),
    ];
    // On and off: a store beside the server must not see another project because of it.
    for settings in [settings(&pairs), settings(&pairs[1..])] {
        for stated in [None, Some(true), Some(false)] {
            let local = Arc::new(opik_testkit::RecordingExporter::default());
            let state = |builder: opik_observe::RecorderBuilder| {
                builder.project("stated").environment("production")
            };
            let mut builder =
                Recorder::builder().branch("local", local.clone(), Policy::full_content());
            if stated == Some(true) {
                builder = state(builder);
            }
            builder = builder.opik(&settings, Policy::metadata_only());
            if stated == Some(false) {
                builder = state(builder);
            }
            let (recorder, guard) = builder.start().unwrap();
            record(&recorder);
            drop(guard.shutdown(Duration::from_millis(500)));
            let trace = wait_for(|| local.traces().into_iter().next());
            let expected = match stated {
                Some(_) => (Some("stated"), Some("production")),
                None => (Some("of settings"), Some("staging")),
            };
            let found = (trace.project_name.as_deref(), trace.environment.as_deref());
            assert_eq!(found, expected, "{stated:?}");
        }
    }
}

#[test]
fn a_spool_directory_that_cannot_be_used_is_a_problem_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let below = file.join("spool");
    let pairs = |directory: &Path| {
        [
            ("OPIK_ENABLED", "on".to_owned()),
            ("OPIK_BASE_URL", "http://127.0.0.1:9".to_owned()),
            ("OPIK_DEFAULT_FLUSH_TIMEOUT", "0.05".to_owned()),
            ("OPIK_SPOOL_DIR", directory.to_str().unwrap().to_owned()),
        ]
    };
    for directory in [&file, &below] {
        let owned = pairs(directory);
        let pairs = owned
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        let opik = start(&pairs);
        assert_eq!(opik.problems.len(), 1, "{:?}", opik.problems);
        let problem = opik.problems[0].to_string();
        assert!(problem.starts_with("OPIK_SPOOL_DIR: "), "{problem}");
        assert!(!problem.contains("file/"), "no value: {problem}");
        assert!(opik.recorder.is_enabled());
        drop(opik);
        assert_eq!(warnings(&pairs).len(), 1, "once");
    }
    let owned = pairs(&folder.path().join("new"));
    let pairs = owned
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    assert_eq!(start(&pairs).problems, []);
}

#[test]
fn a_server_that_hangs_costs_the_host_no_time() {
    // Connections are made by the system and never answered.
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", server.local_addr().unwrap());
    // Whoever waited for one request would wait this long.
    let one_request = Duration::from_secs(120);
    let began = Instant::now();
    let opik = start(&[
        ("OPIK_ENABLED", "true"),
        ("OPIK_BASE_URL", &base),
        ("OPIK_TIMEOUT_SECONDS", "120"),
        ("OPIK_DEFAULT_FLUSH_TIMEOUT", "0.3"),
    ]);
    for _ in 0..1_000 {
        record(&opik.recorder);
    }
    let recorder = opik.recorder.clone();
    drop(opik);
    assert!(began.elapsed() < one_request);
    let branch = &recorder.statistics().branches[0];
    assert_eq!(
        (branch.recorded - branch.start_rows, branch.exported),
        (2_000, 0)
    );
}

#[test]
fn what_cannot_be_used_is_said_and_nothing_is_recorded() {
    for (pairs, off, setting) in [
        (
            &[("OPIK_BASE_URL", "nonsense")][..],
            Off::Unusable,
            Setting::BaseUrl,
        ),
        (&[], Off::NoServer, Setting::Enabled),
        (
            &[("OPIK_BASE_URL", "http://h"), ("OPIK_API_KEY", "\u{1F511}")],
            Off::Unusable,
            Setting::ApiKey,
        ),
    ] {
        let pairs: Vec<_> = pairs
            .iter()
            .copied()
            .chain([("OPIK_ENABLED", "on")])
            .collect();
        let opik = start(&pairs);
        assert!(!opik.recorder.is_enabled());
        assert_eq!(opik.settings.off(), Some(off));
        let origin = opik.settings.origin(setting);
        assert!(
            opik.problems
                .iter()
                .any(|problem| problem.origin() == origin)
        );
    }
    // An address that only a parser of URLs sees through: the client refuses it.
    let pairs = [("OPIK_ENABLED", "on"), ("OPIK_URL_OVERRIDE", "http://a%b")];
    let opik = start(&pairs);
    assert!(opik.settings.is_on() && !opik.recorder.is_enabled());
    assert_eq!(opik.problems.len(), 1, "{:?}", opik.problems);
}

#[test]
fn a_branch_for_opik_stands_beside_others_and_is_not_there_when_it_is_off() {
    let local = || Arc::new(opik_testkit::RecordingExporter::default());
    let pairs = [
        ("OPIK_ENABLED", "on"),
        ("OPIK_BASE_URL", "http://127.0.0.1:9"),
    ];
    for (settings, branches) in [(settings(&pairs), 2), (settings(&pairs[1..]), 1)] {
        let (recorder, guard) = Recorder::builder()
            .branch("local", local(), Policy::full_content())
            .opik(&settings, Policy::metadata_only())
            .start()
            .unwrap();
        assert_eq!(recorder.statistics().branches.len(), branches);
        drop(guard.shutdown(Duration::from_millis(100)));
    }
}

#[test]
fn limits_of_the_environment_are_those_of_the_rows() {
    let Some(stub) = StubServer::start("limits_of_the_environment").unwrap() else {
        return;
    };
    let base = stub.base_url();
    let settings = settings(&[
        ("OPIK_ENABLED", "on"),
        ("OPIK_URL_OVERRIDE", &base),
        ("OPIK_MAX_PAYLOAD_SIZE_MB", "1"),
        ("OPIK_MIN_BASE64_EMBEDDED_ATTACHMENT_SIZE", "1000"),
        ("OPIK_TIMEOUT_SECONDS", "30"),
        ("OPIK_ENABLE_JSON_REQUEST_COMPRESSION", "false"),
    ]);
    let (recorder, guard) = Recorder::builder()
        .opik(&settings, Policy::full_content())
        .start()
        .unwrap();
    let mut trace = recorder.trace("large");
    trace.input(&json!({ "text": "many words ".repeat(120_000) }));
    // A picture, to those who look at how it begins.
    let picture = format!("iVBORw0KGgoAAAANSUhEUgAA{}", "AAAA".repeat(300));
    trace.output(&json!({ "picture": picture }));
    trace.end();
    assert!(guard.shutdown(LONG).complete);
    let requests = stub.requests().unwrap();
    let batch = requests
        .iter()
        .find(|request| request["path"] == "/api/v1/private/traces/batch")
        .unwrap();
    assert!(batch.to_string().len() < 200_000, "it was not cut");
    assert!(!batch.to_string().contains("iVBOR"), "it is in the row");
    let upload = "/api/v1/private/attachment/upload-start";
    assert!(requests.iter().any(|request| request["path"] == upload));
    let headers = batch["headers"].as_array().unwrap();
    assert!(
        headers.iter().all(|pair| pair[0] != "content-encoding"),
        "{headers:?}"
    );
}

/// Keeps the texts of warnings.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

struct Text<'a>(&'a mut String);

impl Visit for Text<'_> {
    fn record_debug(&mut self, _: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, "{value:?}").unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "opik_observe" && *metadata.level() == Level::WARN
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut text = String::new();
        event.record(&mut Text(&mut text));
        self.0.lock().unwrap().push(text);
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// What is logged while a recorder starts with these variables.
fn warnings(pairs: &[(&str, &str)]) -> Vec<String> {
    let log = Log::default();
    tracing::subscriber::with_default(log.clone(), || drop(start(pairs)));
    let warnings = log.0.lock().unwrap();
    warnings.clone()
}

#[test]
fn each_problem_is_one_warning_without_its_value_and_none_when_nobody_asked() {
    let mut pairs = vec![
        ("OPIK_ENABLED", "true"),
        ("OPIK_BASE_URL", "http://127.0.0.1:9"),
        ("OPIK_TIMEOUT_SECONDS", "hunter22"),
        ("OPIK_API_KEY", "hunter23\u{7f}x"),
    ];
    let warned = warnings(&pairs);
    assert_eq!(warned.len(), 2, "{warned:?}");
    for variable in ["OPIK_TIMEOUT_SECONDS", "OPIK_API_KEY"] {
        let of_it = |text: &&String| text.starts_with(variable);
        assert_eq!(warned.iter().filter(of_it).count(), 1, "{warned:?}");
    }
    assert!(
        warned.iter().all(|text| !text.contains("hunter")),
        "{warned:?}"
    );
    pairs.remove(0);
    assert_eq!(
        warnings(&pairs),
        [""; 0],
        "the variables are for someone else"
    );
    assert_eq!(warnings(&[("OPIK_ENABLED", "perhaps")]).len(), 1);
}
