//! The sources, one before the other.

use std::path::PathBuf;
use std::time::Duration;

use super::environment::{Environment, ProcessEnvironment};
use super::parse;
use super::sources::Loader;
use super::{OpikSettings, Origin, Setting, SpoolMode};
use crate::{Project, Secret};

/// Vyasa's own name for the server's address, to which it adds `/api` itself.
pub(super) const VYASA_URL: &str = "OPIK_BASE_URL";
/// The project of a host that is configured as Vyasa is.
const VYASA_PROJECT: &str = "vyasa";
/// The workspace of a self-hosted installation.
const DEFAULT_WORKSPACE: &str = "default";

/// What the program itself says, before the environment is asked. Empty texts count as not said.
#[derive(Debug, Clone, Default)]
#[must_use = "settings are made by `load`"]
pub struct OpikSettingsBuilder {
    enabled: Option<bool>,
    base_url: Option<String>,
    api_key: Option<Secret>,
    workspace: Option<String>,
    project_name: Option<String>,
    environment: Option<String>,
    timeout: Option<Duration>,
    flush_timeout: Option<Duration>,
    check_tls: Option<bool>,
    compression: Option<bool>,
    start_rows: Option<bool>,
    spool_mode: Option<SpoolMode>,
    spool_directory: Option<PathBuf>,
    config_path: Option<PathBuf>,
}

impl OpikSettingsBuilder {
    /// Whether anything is sent, whatever `OPIK_ENABLED` says.
    pub fn enabled(mut self, on: bool) -> Self {
        self.enabled = Some(on);
        self
    }

    /// The server, up to and including `/api/`.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// The key.
    pub fn api_key(mut self, key: impl Into<Secret>) -> Self {
        self.api_key = Some(key.into());
        self
    }

    /// The workspace.
    pub fn workspace(mut self, name: impl Into<String>) -> Self {
        self.workspace = Some(name.into());
        self
    }

    /// The project.
    pub fn project_name(mut self, name: impl Into<String>) -> Self {
        self.project_name = Some(name.into());
        self
    }

    /// Where the program runs, for example `production`.
    pub fn environment(mut self, name: impl Into<String>) -> Self {
        self.environment = Some(name.into());
        self
    }

    /// Time for one request, from 10 ms to 10 min.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How long the end of the program may wait, from 10 ms to 10 min.
    pub fn flush_timeout(mut self, timeout: Duration) -> Self {
        self.flush_timeout = Some(timeout);
        self
    }

    /// Whether the server's certificate is checked.
    pub fn check_tls(mut self, on: bool) -> Self {
        self.check_tls = Some(on);
        self
    }

    /// Whether requests are compressed.
    pub fn compression(mut self, on: bool) -> Self {
        self.compression = Some(on);
        self
    }

    /// Whether spans that stay open for long are sent before they end.
    pub fn start_rows(mut self, on: bool) -> Self {
        self.start_rows = Some(on);
        self
    }

    /// Where records are kept on disk, and when.
    pub fn spool(mut self, directory: impl Into<PathBuf>, mode: SpoolMode) -> Self {
        self.spool_directory = Some(directory.into());
        self.spool_mode = Some(mode);
        self
    }

    /// The configuration file, whatever `OPIK_CONFIG_PATH` says.
    pub fn config_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.config_path = Some(path.into());
        self
    }

    /// Fills in the rest from the environment of the process and the file.
    #[must_use]
    pub fn load(self) -> OpikSettings {
        self.load_from(&ProcessEnvironment)
    }

    /// Fills in the rest from an environment and the file that it leads to. Reads at most that
    /// one file.
    #[must_use]
    pub fn load_from(self, environment: &impl Environment) -> OpikSettings {
        let mut loader = Loader::new(environment);
        loader.open_file(self.config_path);

        let enabled = loader.switch(Setting::Enabled, self.enabled, false, false);
        // Whoever wrote something here wanted less to be recorded, not more.
        let track_disable = loader.switch(Setting::TrackDisable, None, false, true);
        let api_key = self.api_key.as_ref().map(Secret::expose);
        let api_key = loader.strict(Setting::ApiKey, api_key, |text, _| parse::header(text));
        let base_url = loader.base_url(self.base_url.as_deref(), &api_key);
        let workspace = self.workspace.as_deref();
        let workspace = loader.strict(Setting::Workspace, workspace, |text, _| parse::header(text));
        let is_vyasa = base_url.origin == Origin::Variable(VYASA_URL)
            || (base_url.value.is_none() && matches!(enabled.origin, Origin::Variable(_)));
        let project = if is_vyasa {
            VYASA_PROJECT
        } else {
            Project::DEFAULT_NAME
        };
        let project_name = self.project_name.as_deref();
        let project_name = loader.lenient(Setting::ProjectName, project_name, parse::name);
        let environment_name = self.environment.as_deref();
        let environment_name = loader.lenient(Setting::Environment, environment_name, parse::name);
        let timeout = loader.wait(Setting::Timeout, self.timeout, Duration::from_secs(2));
        let flush = loader.wait(
            Setting::FlushTimeout,
            self.flush_timeout,
            Duration::from_secs(3),
        );
        let check_tls = loader.switch(Setting::CheckTls, self.check_tls, true, true);
        let compression = loader.switch(Setting::Compression, self.compression, true, true);
        let start_rows = loader.switch(Setting::StartRows, self.start_rows, true, true);
        let max_payload = loader.lenient(Setting::MaxPayload, None, parse::megabytes);
        let extraction = loader.switch(Setting::AttachmentExtraction, None, true, true);
        let min_attachment = loader.lenient(Setting::MinAttachment, None, parse::characters);
        let (spool_mode, spool_directory) = loader.spool(self.spool_mode, self.spool_directory);

        let is_missing = base_url.value.is_none() && base_url.origin == Origin::Default;
        if enabled.value && is_missing && !loader.unusable {
            loader.no_server(&enabled.origin);
        }

        OpikSettings {
            enabled,
            track_disable,
            base_url,
            api_key: api_key.map(|key| key.map(Secret::from)),
            workspace: workspace.map(|name| name.unwrap_or_else(|| DEFAULT_WORKSPACE.to_owned())),
            project_name: project_name.map(|name| name.unwrap_or_else(|| project.to_owned())),
            environment: environment_name,
            timeout,
            flush_timeout: flush,
            check_tls,
            compression,
            start_rows,
            max_payload: max_payload.map(|bytes| bytes.unwrap_or(20 << 20)),
            attachment_extraction: extraction,
            min_attachment: min_attachment.map(|characters| characters.unwrap_or(256_000)),
            spool_mode,
            spool_directory,
            config_path: loader.path,
            config_found: loader.file.is_some(),
            unusable: loader.unusable,
            problems: loader.problems,
        }
    }
}
