//! A recorder for an Opik server, as the environment describes it.

use std::sync::Arc;
use std::time::Duration;

use opik_core::rest::{OpikClient, RetryPolicy};
use opik_core::settings::{OpikSettings, Origin, Problem, Setting, SpoolMode};
use opik_core::wire::FieldLimits;

use crate::builder::{Branch, RecorderBuilder};
use crate::config::{Limits, StartRows};
use crate::policy::Policy;
use crate::recorder::{Recorder, RecorderGuard};
use crate::spool::{Destination, Durability, Spool, SpoolOptions};

/// Name of the branch in statistics, logs and its thread.
const BRANCH: &str = "opik";
const OFF: &str = "nothing is sent to Opik";
/// An export is several requests, and a request may be repeated once.
const REQUESTS: u32 = 5;

/// A recorder as [`from_env`] starts it, and what there is to know about it.
///
/// Keep it, or its `guard`, until the program ends: dropping the guard closes the recorder.
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "dropping the guard in it closes the recorder; bind it to a variable that lives as long as the program"]
pub struct OpikRecorder {
    /// The recorder: a [disabled](Recorder::disabled) one when nothing is sent.
    pub recorder: Recorder,
    /// Closes the recorder when it is dropped, within
    /// [`flush_timeout`](OpikSettings::flush_timeout).
    pub guard: RecorderGuard,
    /// The settings in force, and where each comes from.
    pub settings: OpikSettings,
    /// What was wrong, the settings' own problems included. Each was a warning as well, unless
    /// nobody turned recording on.
    pub problems: Vec<Problem>,
    /// The client that sends, also for prompts and links; `None` when nothing is sent.
    pub client: Option<OpikClient>,
    /// What keeps records on disk, where that is configured.
    pub spool: Option<Arc<Spool>>,
}

/// Starts a recorder as the environment and `~/.opik.config` say; see
/// [`opik_core::settings`].
///
/// Without `OPIK_ENABLED` nothing is started, nothing is connected to, and the recorder is a
/// [disabled](Recorder::disabled) one. Nothing in the environment makes this fail: what cannot be
/// used is a warning (target `opik_observe`) and a [problem](OpikRecorder::problems), and leads to a
/// safe choice.
///
/// No content is sent: the policy is [`Policy::metadata_only`], which keeps times, names, models,
/// tags, token counts, cost, types of errors and a hash of the input, and drops the rest: inputs,
/// outputs, texts of errors and **all metadata**. For another policy, for example one that allows
/// keys of metadata, see [`from_settings_with`]; for more branches, see [`RecorderBuilder::opik`].
///
/// It reads one small file, loads the system's certificates and, where a spool is configured, writes
/// to its directory. So call it once, at the start.
///
/// ```
/// let opik = opik_observe::from_env();
/// let mut trace = opik.recorder.trace("answer");
/// trace.tag("checkout");
/// trace.end();
/// // At the end of the program:
/// drop(opik);
/// ```
///
/// The recorder closes with its guard. So this records nothing, since the guard goes at the end of the
/// statement, and `let (recorder, _) = ..` of a builder's pair is the same trap:
///
/// ```
/// let recorder = opik_observe::from_env().recorder; // wrong: already closed
/// recorder.trace("lost").end();
/// ```
///
/// Nothing in a `static` is ever dropped. When it is there, end the program with
/// [`RecorderGuard::shutdown`], or what waits at that moment is lost.
pub fn from_env() -> OpikRecorder {
    from_settings(OpikSettings::load())
}

/// As [`from_env`], with settings that the program has made or changed.
///
/// ```
/// use opik_core::settings::OpikSettings;
///
/// let settings = OpikSettings::builder().project_name("checkout").load();
/// let opik = opik_observe::from_settings(settings);
/// assert_eq!(opik.settings.project_name(), "checkout");
/// ```
pub fn from_settings(settings: OpikSettings) -> OpikRecorder {
    from_settings_with(settings, Policy::metadata_only())
}

/// As [`from_settings`], with a policy of the program: what is to leave is never read from the
/// environment.
///
/// ```
/// use opik_core::settings::OpikSettings;
/// use opik_observe::{Policy, from_settings_with};
///
/// let policy = Policy::metadata_only().allow_metadata(["job_id"]);
/// let opik = from_settings_with(OpikSettings::load(), policy);
/// let mut trace = opik.recorder.trace("answer");
/// trace.metadata("job_id", "17");
/// trace.end();
/// # drop(opik);
/// ```
pub fn from_settings_with(settings: OpikSettings, policy: Policy) -> OpikRecorder {
    let mut problems = settings.problems().to_vec();
    let mut builder = Recorder::builder();
    let parts = match builder.add_opik(&settings, policy) {
        Ok(parts) => parts,
        Err(problem) => {
            problems.extend(problem);
            Parts::default()
        }
    };
    problems.extend(parts.problem);
    let (mut client, mut spool) = (parts.client, parts.spool);
    let (recorder, guard) = builder.start().unwrap_or_else(|error| {
        problems.push(of_system(&settings, &error, OFF));
        (client, spool) = (None, None);
        let recorder = Recorder::disabled();
        let guard = RecorderGuard {
            recorder: recorder.clone(),
            timeout: Duration::ZERO,
        };
        (recorder, guard)
    });
    for problem in &problems {
        warn(&settings, problem);
    }
    OpikRecorder {
        recorder,
        guard,
        settings,
        problems,
        client,
        spool,
    }
}

impl RecorderBuilder {
    /// Adds a branch `opik` for the server that the settings describe, with its project,
    /// environment, limits, timeouts, start rows and spool. There is no such branch when
    /// [nothing is to be sent](OpikSettings::is_on); what cannot be used is a warning.
    ///
    /// Project and environment of the settings are those of every branch, also when nothing is to be
    /// sent. What the program says itself ([`project`](Self::project),
    /// [`environment`](Self::environment), [`drop_timeout`](Self::drop_timeout),
    /// [`export_timeout`](Self::export_timeout), [`max_field_bytes`](Self::max_field_bytes),
    /// [`max_record_bytes`](Self::max_record_bytes)) wins over the settings, before or after this
    /// call.
    ///
    /// ```
    /// use opik_core::settings::OpikSettings;
    /// use opik_observe::{Policy, Recorder};
    ///
    /// let policy = Policy::metadata_only().allow_metadata(["job_id"]);
    /// let (recorder, guard) = Recorder::builder()
    ///     .opik(&OpikSettings::load(), policy)
    ///     .start()?;
    /// # drop((recorder, guard));
    /// # Ok::<(), opik_observe::StartError>(())
    /// ```
    pub fn opik(mut self, settings: &OpikSettings, policy: Policy) -> Self {
        for problem in settings.problems() {
            warn(settings, problem);
        }
        let problem = match self.add_opik(settings, policy) {
            Ok(parts) => parts.problem,
            Err(problem) => problem,
        };
        if let Some(problem) = problem {
            warn(settings, &problem);
        }
        self
    }

    /// Adds the branch. Without settings that are on, that is no problem.
    fn add_opik(
        &mut self,
        settings: &OpikSettings,
        policy: Policy,
    ) -> Result<Parts, Option<Problem>> {
        self.settings.project = Some(settings.project_name().to_owned());
        self.settings.environment = settings.environment().map(str::to_owned);
        let client = settings.client_builder().filter(|_| settings.is_on());
        // The recorder repeats and the spool waits; the client has to give up soon.
        let client = client.ok_or(None)?.retry(RetryPolicy::brief());
        let limits = FieldLimits::default()
            .max_field_bytes(settings.max_payload_bytes())
            .extract_files(settings.attachment_extraction())
            .min_base64_chars(settings.min_attachment_chars());
        let client = client.field_limits(limits).build().map_err(|error| {
            let origin = settings.origin(Setting::BaseUrl).clone();
            Some(Problem::new(origin, chain(&error), OFF))
        })?;
        let export = Limits::default()
            .export_timeout
            .max(settings.timeout() * REQUESTS);
        let (spool, problem) = spool(settings, &client, export / 2);

        self.common.limits = limits;
        self.settings.export_timeout = Some(export);
        self.settings.drop_timeout = Some(settings.flush_timeout());
        if *settings.origin(Setting::MaxPayload) != Origin::Default {
            self.settings.field_bytes = Some(settings.max_payload_bytes());
        }
        let branch = match &spool {
            Some(spool) => Branch::new(BRANCH, Arc::clone(spool) as _, policy),
            None => Branch::new(BRANCH, Arc::new(client.clone()), policy),
        };
        self.branches.push(if settings.start_rows() {
            branch
        } else {
            branch.start_rows(StartRows::Off)
        });
        Ok(Parts {
            client: Some(client),
            spool,
            problem,
        })
    }
}

/// What a branch is made of.
#[derive(Debug, Default)]
struct Parts {
    client: Option<OpikClient>,
    spool: Option<Arc<Spool>>,
    problem: Option<Problem>,
}

/// The spool that is configured, in a directory of the server and the workspace: what waits for one
/// must not be sent to another. Without the thread that it needs, records are kept in memory.
fn spool(
    settings: &OpikSettings,
    client: &OpikClient,
    attempt: Duration,
) -> (Option<Arc<Spool>>, Option<Problem>) {
    let durability = match settings.spool_mode() {
        SpoolMode::SpoolOnFailure => Durability::SpoolOnFailure,
        SpoolMode::WriteAhead => Durability::WriteAhead,
        _ => return (None, None),
    };
    let Some(spools) = settings.spool_directory() else {
        return (None, None);
    };
    let destination = Destination::new(client.base_url().as_str(), client.workspace());
    let unusable = destination.prepare(spools).err().map(|error| {
        let origin = settings.origin(Setting::SpoolDirectory).clone();
        let what = format!("it cannot be written ({})", error.kind());
        let instead = "records are kept in memory only, until it can be";
        Problem::new(origin, what, instead)
    });
    let options = SpoolOptions::new()
        .durability(durability)
        .project(settings.project_name())
        .attempt_timeout(attempt);
    let directory = destination.directory(spools);
    match Spool::open(directory, Arc::new(client.clone()), options) {
        Ok(spool) => (Some(Arc::new(spool)), unusable),
        Err(error) => {
            let instead = "records are kept in memory only";
            (None, Some(of_system(settings, &error, instead)))
        }
    }
}

/// What the system refused, as a problem of the switch that asked for it.
fn of_system(
    settings: &OpikSettings,
    error: &(dyn std::error::Error + 'static),
    instead: &'static str,
) -> Problem {
    let origin = settings.origin(Setting::Enabled).clone();
    Problem::new(origin, chain(error), instead)
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// Says what is wrong, unless it is about settings that nobody wants to use.
fn warn(settings: &OpikSettings, problem: &Problem) {
    let of_switch = *problem.origin() == Origin::Variable("OPIK_ENABLED");
    if settings.is_enabled() || of_switch {
        tracing::warn!(target: "opik_observe", "{problem}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_wins_over_settings_in_any_order_of_calls() {
        let settings = OpikSettings::builder().load_from(&|name: &str| match name {
            "OPIK_ENABLED" => Some("on".into()),
            "OPIK_BASE_URL" => Some("http://127.0.0.1:9".into()),
            "OPIK_DEFAULT_FLUSH_TIMEOUT" => Some("7".into()),
            "OPIK_TIMEOUT_SECONDS" => Some("11".into()),
            "OPIK_MAX_PAYLOAD_SIZE_MB" => Some("1000".into()),
            _ => None,
        });
        let wait = Duration::from_millis(50);
        let opik = |builder: RecorderBuilder| builder.opik(&settings, Policy::default());
        let state = |builder: RecorderBuilder| {
            builder
                .drop_timeout(wait)
                .export_timeout(wait)
                .max_field_bytes(5)
                .max_record_bytes(6)
        };
        let new = Recorder::builder;
        for builder in [state(opik(new())), opik(state(new()))] {
            let limits = builder.decided();
            assert_eq!((limits.drop_timeout, limits.export_timeout), (wait, wait));
            assert_eq!((limits.field_bytes, limits.record_bytes), (5, 6));
        }
        let limits = opik(new()).decided();
        assert_eq!(limits.drop_timeout, Duration::from_secs(7));
        assert_eq!(limits.export_timeout, Duration::from_secs(55));
        // More than what may wait would be lost instead of cut.
        assert_eq!(limits.field_bytes, limits.pending_bytes / 3);
        assert!(limits.record_bytes >= limits.field_bytes * 3);
    }
}
