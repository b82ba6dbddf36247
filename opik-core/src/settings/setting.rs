//! The settings by name, and the variables of the official clients that have no meaning here.

use super::parse;

/// A setting: its name, the variables that set it, its key in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Setting {
    /// Whether anything is recorded for Opik.
    Enabled,
    /// A second switch, of the official clients: on means off.
    TrackDisable,
    /// Where the server is.
    BaseUrl,
    /// The key.
    ApiKey,
    /// The workspace.
    Workspace,
    /// The project of what is recorded.
    ProjectName,
    /// Where the program runs, for example `production`.
    Environment,
    /// Time for one request.
    Timeout,
    /// How long the end of the program may wait for the server.
    FlushTimeout,
    /// Whether the server's certificate is checked.
    CheckTls,
    /// Whether requests are compressed.
    Compression,
    /// Whether spans that stay open for long are sent before they end.
    StartRows,
    /// Largest input or output.
    MaxPayload,
    /// Whether embedded files become attachments.
    AttachmentExtraction,
    /// Smallest embedded file that becomes one.
    MinAttachment,
    /// When records are kept on disk.
    SpoolMode,
    /// Where records are kept on disk.
    SpoolDirectory,
}

impl Setting {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::Enabled,
        Self::TrackDisable,
        Self::BaseUrl,
        Self::ApiKey,
        Self::Workspace,
        Self::ProjectName,
        Self::Environment,
        Self::Timeout,
        Self::FlushTimeout,
        Self::CheckTls,
        Self::Compression,
        Self::StartRows,
        Self::MaxPayload,
        Self::AttachmentExtraction,
        Self::MinAttachment,
        Self::SpoolMode,
        Self::SpoolDirectory,
    ];

    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::TrackDisable => "track_disable",
            Self::BaseUrl => "base_url",
            Self::ApiKey => "api_key",
            Self::Workspace => "workspace",
            Self::ProjectName => "project_name",
            Self::Environment => "environment",
            Self::Timeout => "timeout",
            Self::FlushTimeout => "flush_timeout",
            Self::CheckTls => "check_tls",
            Self::Compression => "compression",
            Self::StartRows => "start_rows",
            Self::MaxPayload => "max_payload",
            Self::AttachmentExtraction => "attachment_extraction",
            Self::MinAttachment => "min_attachment",
            Self::SpoolMode => "spool_mode",
            Self::SpoolDirectory => "spool_directory",
        }
    }

    /// The variables that set it; the first that is set counts.
    #[must_use]
    pub fn variables(self) -> &'static [&'static str] {
        match self {
            Self::Enabled => &["OPIK_ENABLED"],
            Self::TrackDisable => &["OPIK_TRACK_DISABLE"],
            Self::BaseUrl => &["OPIK_URL_OVERRIDE", "OPIK_BASE_URL"],
            Self::ApiKey => &["OPIK_API_KEY"],
            Self::Workspace => &["OPIK_WORKSPACE"],
            Self::ProjectName => &["OPIK_PROJECT_NAME"],
            Self::Environment => &["OPIK_ENVIRONMENT"],
            Self::Timeout => &["OPIK_TIMEOUT_SECONDS"],
            Self::FlushTimeout => &["OPIK_DEFAULT_FLUSH_TIMEOUT"],
            Self::CheckTls => &["OPIK_CHECK_TLS_CERTIFICATE"],
            Self::Compression => &["OPIK_ENABLE_JSON_REQUEST_COMPRESSION"],
            Self::StartRows => &["OPIK_LOG_START_TRACE_SPAN"],
            Self::MaxPayload => &["OPIK_MAX_PAYLOAD_SIZE_MB"],
            Self::AttachmentExtraction => &["OPIK_IS_ATTACHMENT_EXTRACTION_ACTIVE"],
            Self::MinAttachment => &["OPIK_MIN_BASE64_EMBEDDED_ATTACHMENT_SIZE"],
            Self::SpoolMode => &["OPIK_SPOOL_MODE"],
            Self::SpoolDirectory => &["OPIK_SPOOL_DIR"],
        }
    }

    /// Its key in the file: what the official clients read there. Our own settings and Vyasa's have
    /// none, because the official clients refuse a file with keys that they do not know.
    #[must_use]
    pub fn file_key(self) -> Option<&'static str> {
        match self {
            Self::Enabled | Self::Timeout | Self::SpoolMode | Self::SpoolDirectory => None,
            Self::TrackDisable => Some("track_disable"),
            Self::BaseUrl => Some("url_override"),
            Self::ApiKey => Some("api_key"),
            Self::Workspace => Some("workspace"),
            Self::ProjectName => Some("project_name"),
            Self::Environment => Some("environment"),
            Self::FlushTimeout => Some("default_flush_timeout"),
            Self::CheckTls => Some("check_tls_certificate"),
            Self::Compression => Some("enable_json_request_compression"),
            Self::StartRows => Some("log_start_trace_span"),
            Self::MaxPayload => Some("max_payload_size_mb"),
            Self::AttachmentExtraction => Some("is_attachment_extraction_active"),
            Self::MinAttachment => Some("min_base64_embedded_attachment_size"),
        }
    }

    /// Whether a text can be its value, as a variable or the file would give it.
    ///
    /// ```
    /// use opik_core::settings::Setting;
    ///
    /// assert!(Setting::ApiKey.check("abc").is_ok());
    /// assert_eq!(Setting::ApiKey.check("\"abc\""), Err("it has quotes around it"));
    /// ```
    ///
    /// # Errors
    /// What is wrong with it. The text is not repeated.
    pub fn check(self, text: &str) -> Result<(), &'static str> {
        let text = text.trim();
        if text.is_empty() {
            return Err("it is empty");
        }
        match self {
            Self::Enabled
            | Self::TrackDisable
            | Self::CheckTls
            | Self::Compression
            | Self::StartRows
            | Self::AttachmentExtraction => parse::switch(text).map(drop),
            Self::BaseUrl => parse::address(text).map(drop),
            Self::ApiKey | Self::Workspace => parse::header(text).map(drop),
            Self::ProjectName | Self::Environment => parse::name(text).map(drop),
            Self::Timeout | Self::FlushTimeout => parse::seconds(text).map(drop),
            Self::MaxPayload => parse::megabytes(text).map(drop),
            Self::MinAttachment => parse::characters(text).map(drop),
            Self::SpoolMode => parse::spool_mode(text).map(drop),
            Self::SpoolDirectory => Ok(()),
        }
    }

    /// Whether a variable sets one of the settings, or says where the file is.
    #[must_use]
    pub fn is_known_variable(name: &str) -> bool {
        name == super::config_file::PATH_VARIABLE
            || Self::ALL
                .iter()
                .any(|setting| setting.variables().contains(&name))
    }

    /// Why a variable of the official clients has no effect here, if it is one.
    #[must_use]
    pub fn ignored_variable(name: &str) -> Option<&'static str> {
        const OWN_THREADS: &str = "the recorder has one thread per branch";
        const OWN_LIMITS: &str = "the recorder has limits of its own";
        const OWN_RETRIES: &str = "the recorder repeats and spools in its own way";
        const LOGGING: &str = "logging goes through `tracing`";
        const NOTHING_ELSE: &str = "nothing is sent to anyone but the server";
        const OTHER_PARTS: &str = "it concerns parts of the official client that are not here";
        let name = name.strip_prefix("OPIK_")?;
        Some(match name {
            "BACKGROUND_WORKERS" | "FILE_UPLOAD_BACKGROUND_WORKERS" => OWN_THREADS,
            "MAXIMAL_QUEUE_SIZE"
            | "MAXIMAL_QUEUE_SIZE_BATCH_FACTOR"
            | "BATCH_DELAY_MS"
            | "HOLD_UNTIL_FLUSH" => OWN_LIMITS,
            "REQUEST_COMPRESSION_LEVEL"
            | "DATASET_UPLOAD_COMPRESSION_LEVEL"
            | "EXPERIMENT_UPLOAD_COMPRESSION_LEVEL" => "requests have one level of compression",
            "CONNECTION_MONITOR_PING_INTERVAL"
            | "CONNECTION_MONITOR_CHECK_TIMEOUT"
            | "REPLAY_BATCH_SIZE"
            | "REPLAY_BATCH_REPLAY_DELAY"
            | "REPLAY_TICK_INTERVAL"
            | "UNAUTHORIZED_MESSAGE_TYPE_RETRY_INTERVAL"
            | "UNAUTHORIZED_MESSAGE_TYPE_MAX_RETRY_COUNT" => OWN_RETRIES,
            "CONSOLE_LOGGING_LEVEL" | "FILE_LOGGING_LEVEL" | "LOGGING_FILE" | "LOG_LEVEL" => {
                LOGGING
            }
            "SENTRY_ENABLE" | "SENTRY_DSN" | "ANALYTICS_ENABLE" | "ANALYTICS_URL" => NOTHING_ELSE,
            "GUARDRAIL_TIMEOUT"
            | "GUARDRAILS_URL_OVERRIDE"
            | "ENABLE_LITELLM_MODELS_MONITORING"
            | "PYTEST_EXPERIMENT_ENABLED"
            | "DEFAULT_LLM"
            | "RUNNER_POLL_INTERVAL"
            | "PROMPT_CACHE_TTL_SECONDS"
            | "CONFIG_TTL_SECONDS"
            | "SUPPRESS_BATCHING_UPDATE_WARNING" => OTHER_PARTS,
            _ => return None,
        })
    }
}

impl std::fmt::Display for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
