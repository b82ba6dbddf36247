//! Settings for talking to an Opik server: read from the program, the environment and the file of
//! the official clients, without ever failing.
//!
//! ```
//! use opik_core::settings::OpikSettings;
//!
//! let settings = OpikSettings::load();
//! if let Some(reason) = settings.off() {
//!     println!("nothing is sent to Opik: {reason}");
//! }
//! for problem in settings.problems() {
//!     eprintln!("{problem}");
//! }
//! ```
//!
//! # Precedence
//!
//! What the program sets ([`OpikSettingsBuilder`]), then environment variables, then the section
//! `[opik]` of `~/.opik.config` (or of the file that `OPIK_CONFIG_PATH` names), then defaults. Each
//! value remembers [where it comes from](OpikSettings::origin). Spaces around a value do not
//! matter, and a variable that is empty counts as not set.
//!
//! # On and off
//!
//! Nothing is sent unless `OPIK_ENABLED` says so or the program does. An official configuration
//! alone (`OPIK_URL_OVERRIDE`, a file) turns nothing on: it may be there for another program.
//! `OPIK_TRACK_DISABLE` turns off again what is on.
//!
//! # The server
//!
//! `OPIK_URL_OVERRIDE` is the address up to and including `/api/`, as the official clients take it.
//! `OPIK_BASE_URL` is Vyasa's, which adds `/api` itself, and so does this. When both are set the
//! first one counts. Without any address the server is the one that the key names (in its second
//! part, after a `*`), else the cloud; without a key either there is none.
//!
//! The project is `vyasa` unless set when `OPIK_BASE_URL` names the server, or `OPIK_ENABLED` is set and
//! nothing else does; otherwise `Default Project`.
//!
//! # Bad values
//!
//! A bad value is a [`Problem`] and leads to a safe choice; it never falls through to the next
//! source, since that could send data to another server or workspace than was meant.
//!
//! | what is bad | what happens |
//! |---|---|
//! | address, key, workspace | off |
//! | `OPIK_ENABLED`, `OPIK_TRACK_DISABLE` | off |
//! | times, sizes, certificate check, compression, names of project and environment | the default |
//! | spool directory or mode | memory only |
//! | the file | it counts as empty; when it is the only source of an address or key, there is none |
//!
//! The environment is injected ([`Environment`]), so tests touch no variable of the process.

#[cfg(feature = "rest")]
#[cfg_attr(docsrs, doc(cfg(feature = "rest")))]
mod client;
mod config_file;
mod decide;
mod environment;
mod ini;
mod load;
mod parse;
mod problem;
mod setting;
mod sources;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Secret;

pub use config_file::{ConfigFile, ConfigFileError};
pub use environment::{Environment, ProcessEnvironment};
pub use load::OpikSettingsBuilder;
pub use problem::{Origin, Problem};
pub use setting::Setting;

/// The address of the cloud.
const CLOUD: &str = "https://www.comet.com/opik/api/";

/// A value and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sourced<T> {
    value: T,
    origin: Origin,
}

/// Why nothing is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Off {
    /// Nobody turned it on. This is the default.
    NotEnabled,
    /// `OPIK_TRACK_DISABLE` turned it off.
    TrackDisabled,
    /// It is on, and a value that cannot be replaced is unusable; see
    /// [`OpikSettings::problems`].
    Unusable,
    /// It is on, and nothing says where the server is.
    NoServer,
}

impl fmt::Display for Off {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotEnabled => "OPIK_ENABLED is not on",
            Self::TrackDisabled => "OPIK_TRACK_DISABLE is on",
            Self::Unusable => "a setting cannot be used",
            Self::NoServer => "neither OPIK_URL_OVERRIDE, OPIK_BASE_URL nor OPIK_API_KEY is set",
        })
    }
}

/// When records are kept on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SpoolMode {
    /// Never: what the server does not take in time is lost, and counted. The default without a
    /// directory.
    Memory,
    /// When the server does not take them. The default with a directory.
    SpoolOnFailure,
    /// Always, before they are sent.
    WriteAhead,
}

impl SpoolMode {
    /// Its name in `OPIK_SPOOL_MODE`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::SpoolOnFailure => "spool_on_failure",
            Self::WriteAhead => "write_ahead",
        }
    }
}

/// Settings for an Opik server; see the [module](self) for where they come from.
///
/// `Debug` does not show the key.
#[derive(Debug, Clone)]
pub struct OpikSettings {
    enabled: Sourced<bool>,
    track_disable: Sourced<bool>,
    base_url: Sourced<Option<String>>,
    api_key: Sourced<Option<Secret>>,
    workspace: Sourced<String>,
    project_name: Sourced<String>,
    environment: Sourced<Option<String>>,
    timeout: Sourced<Duration>,
    flush_timeout: Sourced<Duration>,
    check_tls: Sourced<bool>,
    compression: Sourced<bool>,
    start_rows: Sourced<bool>,
    max_payload: Sourced<usize>,
    attachment_extraction: Sourced<bool>,
    min_attachment: Sourced<usize>,
    spool_mode: Sourced<SpoolMode>,
    spool_directory: Sourced<Option<PathBuf>>,
    config_path: Option<PathBuf>,
    config_found: bool,
    unusable: bool,
    problems: Vec<Problem>,
}

impl OpikSettings {
    /// Settings that the program states itself come first; see [`OpikSettingsBuilder`].
    pub fn builder() -> OpikSettingsBuilder {
        OpikSettingsBuilder::default()
    }

    /// Reads the environment of the process and the file.
    #[must_use]
    pub fn load() -> Self {
        Self::builder().load()
    }

    /// Whether somebody turned it on. Whether that leads to anything, [`is_on`](Self::is_on) says.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.enabled.value
    }

    /// Whether records are sent.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.off().is_none()
    }

    /// Why records are not sent, unless they are.
    #[must_use]
    pub fn off(&self) -> Option<Off> {
        if !self.enabled.value {
            Some(Off::NotEnabled)
        } else if self.track_disable.value {
            Some(Off::TrackDisabled)
        } else if self.unusable {
            Some(Off::Unusable)
        } else if self.base_url.value.is_none() {
            Some(Off::NoServer)
        } else {
            None
        }
    }

    /// What was wrong with the sources, in the order in which it was found.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Where a value comes from.
    #[must_use]
    pub fn origin(&self, setting: Setting) -> &Origin {
        match setting {
            Setting::Enabled => &self.enabled.origin,
            Setting::TrackDisable => &self.track_disable.origin,
            Setting::BaseUrl => &self.base_url.origin,
            Setting::ApiKey => &self.api_key.origin,
            Setting::Workspace => &self.workspace.origin,
            Setting::ProjectName => &self.project_name.origin,
            Setting::Environment => &self.environment.origin,
            Setting::Timeout => &self.timeout.origin,
            Setting::FlushTimeout => &self.flush_timeout.origin,
            Setting::CheckTls => &self.check_tls.origin,
            Setting::Compression => &self.compression.origin,
            Setting::StartRows => &self.start_rows.origin,
            Setting::MaxPayload => &self.max_payload.origin,
            Setting::AttachmentExtraction => &self.attachment_extraction.origin,
            Setting::MinAttachment => &self.min_attachment.origin,
            Setting::SpoolMode => &self.spool_mode.origin,
            Setting::SpoolDirectory => &self.spool_directory.origin,
        }
    }

    /// A value as text for a report; nothing when there is none. Of the key it says only that it
    /// is set.
    #[must_use]
    pub fn shown(&self, setting: Setting) -> Option<String> {
        let seconds = |wait: Duration| Some(format!("{} s", wait.as_secs_f64()));
        match setting {
            Setting::Enabled => Some(self.enabled.value.to_string()),
            Setting::TrackDisable => Some(self.track_disable.value.to_string()),
            Setting::BaseUrl => self.base_url.value.clone(),
            Setting::ApiKey => self
                .api_key
                .value
                .as_ref()
                .map(|_| "set (not shown)".to_owned()),
            Setting::Workspace => Some(self.workspace.value.clone()),
            Setting::ProjectName => Some(self.project_name.value.clone()),
            Setting::Environment => self.environment.value.clone(),
            Setting::Timeout => seconds(self.timeout.value),
            Setting::FlushTimeout => seconds(self.flush_timeout.value),
            Setting::CheckTls => Some(self.check_tls.value.to_string()),
            Setting::Compression => Some(self.compression.value.to_string()),
            Setting::StartRows => Some(self.start_rows.value.to_string()),
            Setting::MaxPayload if self.max_payload.origin == Origin::Default => {
                let bytes = self.max_payload.value;
                Some(format!("{bytes} bytes, less in a recorder"))
            }
            Setting::MaxPayload => Some(format!("{} bytes", self.max_payload.value)),
            Setting::AttachmentExtraction => Some(self.attachment_extraction.value.to_string()),
            Setting::MinAttachment => Some(format!("{} characters", self.min_attachment.value)),
            Setting::SpoolMode => Some(self.spool_mode.value.name().to_owned()),
            Setting::SpoolDirectory => {
                let path = self.spool_directory.value.as_deref();
                path.map(|path| path.display().to_string())
            }
        }
    }

    /// The file that was looked for; nothing when there is no home directory.
    #[must_use]
    pub fn config_path(&self) -> Option<&Path> {
        self.config_path.as_deref()
    }

    /// Whether that file is there and was read.
    #[must_use]
    pub fn config_found(&self) -> bool {
        self.config_found
    }

    /// Where the server is, with a slash at the end. There may be an address while
    /// [`is_on`](Self::is_on) is false.
    #[must_use]
    pub fn base_url(&self) -> Option<&str> {
        self.base_url.value.as_deref()
    }

    /// The key, if any.
    #[must_use]
    pub fn api_key(&self) -> Option<&Secret> {
        self.api_key.value.as_ref()
    }

    /// The workspace. Default: `default`.
    #[must_use]
    pub fn workspace(&self) -> &str {
        &self.workspace.value
    }

    /// The project. Default: `vyasa` or `Default Project`, see the [module](self).
    #[must_use]
    pub fn project_name(&self) -> &str {
        &self.project_name.value
    }

    /// Where the program runs. Default: not stated.
    #[must_use]
    pub fn environment(&self) -> Option<&str> {
        self.environment.value.as_deref()
    }

    /// Time for one request. Default: 2 s.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout.value
    }

    /// How long the end of the program may wait for the server. Default: 3 s.
    #[must_use]
    pub fn flush_timeout(&self) -> Duration {
        self.flush_timeout.value
    }

    /// Whether the server's certificate is checked. Default: yes.
    #[must_use]
    pub fn check_tls(&self) -> bool {
        self.check_tls.value
    }

    /// Whether requests are compressed. Default: yes.
    #[must_use]
    pub fn compression(&self) -> bool {
        self.compression.value
    }

    /// Whether spans that stay open for long are sent before they end. Default: yes.
    #[must_use]
    pub fn start_rows(&self) -> bool {
        self.start_rows.value
    }

    /// Most bytes of an input or output. Default: 20 MiB for a client. A recorder cuts at 4 MiB of its
    /// own unless this was set, and then at this or at what it may hold, whichever is less.
    #[must_use]
    pub fn max_payload_bytes(&self) -> usize {
        self.max_payload.value
    }

    /// Whether files in base64 inside of inputs and outputs become attachments. Default: yes.
    #[must_use]
    pub fn attachment_extraction(&self) -> bool {
        self.attachment_extraction.value
    }

    /// Fewest characters of base64 that become an attachment. Default: 256,000.
    #[must_use]
    pub fn min_attachment_chars(&self) -> usize {
        self.min_attachment.value
    }

    /// When records are kept on disk. Never [other than in memory](SpoolMode::Memory) without a
    /// directory.
    #[must_use]
    pub fn spool_mode(&self) -> SpoolMode {
        self.spool_mode.value
    }

    /// Where records are kept on disk, if they are.
    #[must_use]
    pub fn spool_directory(&self) -> Option<&Path> {
        self.spool_directory.value.as_deref()
    }
}

#[cfg(test)]
mod tests;
