//! The sources, one before the other.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::config_file::{ConfigFile, ConfigFileError, PATH_VARIABLE, expand};
use super::environment::{Environment, ProcessEnvironment};
use super::ini::Contents;
use super::parse::{self, Parsed};
use super::{CLOUD, OpikSettings, Origin, Problem, Setting, Sourced, SpoolMode};
use crate::{Project, Secret};

/// Vyasa's own name for the server's address, to which it adds `/api` itself.
const VYASA_URL: &str = "OPIK_BASE_URL";
/// The project of a host that is configured as Vyasa is.
const VYASA_PROJECT: &str = "vyasa";
/// The workspace of a self-hosted installation.
const DEFAULT_WORKSPACE: &str = "default";

/// Most unknown keys of the file that are listed.
const MAX_UNKNOWN: usize = 5;

const OFF: &str = "nothing is sent to Opik";
const DEFAULT: &str = "the default is used";
const IN_MEMORY: &str = "records are kept in memory only";

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
        let mut loader = Loader {
            environment,
            path: None,
            file: None,
            doubtful: false,
            unusable: false,
            problems: Vec::new(),
        };
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

impl<T> Sourced<T> {
    fn map<U>(self, change: impl FnOnce(T) -> U) -> Sourced<U> {
        Sourced {
            value: change(self.value),
            origin: self.origin,
        }
    }

    fn new(value: T, origin: Origin) -> Self {
        Self { value, origin }
    }
}

/// What a source says; `None` is what is not UTF-8.
type Found = (Option<String>, Origin);

struct Loader<'a, E> {
    environment: &'a E,
    path: Option<PathBuf>,
    file: Option<Contents>,
    /// Whether the file may have said something that was not understood.
    doubtful: bool,
    unusable: bool,
    problems: Vec<Problem>,
}

impl<E: Environment> Loader<'_, E> {
    fn open_file(&mut self, argument: Option<PathBuf>) {
        let is_named = |path: &OsString| !path.is_empty();
        let named = match argument {
            Some(_) => Some(Origin::Argument),
            None => self
                .environment
                .variable(PATH_VARIABLE)
                .filter(is_named)
                .map(|_| Origin::Variable(PATH_VARIABLE)),
        };
        self.path = match argument {
            Some(path) => Some(expand(path, self.environment)),
            None => ConfigFile::locate(self.environment),
        };
        let Some(path) = self.path.clone() else {
            return;
        };
        let whole = Origin::file(&path, 0);
        match (ConfigFile::open(&path), named) {
            (Ok(file), None) if !file.exists() => {}
            (Ok(file), Some(named)) if !file.exists() => {
                self.doubtful = true;
                self.problem(named, "there is no such file", "no file is read");
            }
            (Ok(file), _) => {
                let contents = file.contents();
                for flaw in contents.flaws() {
                    self.doubtful = true;
                    let place = Origin::file(&path, flaw.line);
                    self.problem(place, flaw.what, "the rest of the file is used");
                }
                self.look_at_keys(&contents, &path);
                self.file = Some(contents);
            }
            (Err(error), _) => {
                self.doubtful = true;
                let what = match error {
                    ConfigFileError::Read(error) => format!("it cannot be read ({})", error.kind()),
                    error => error.to_string(),
                };
                self.problems
                    .push(Problem::new(whole, what, "no file is read"));
            }
        }
    }

    /// A misspelt key is a setting that somebody believes to be in force.
    fn look_at_keys(&mut self, contents: &Contents, path: &Path) {
        let is_known = |key: &str| {
            Setting::ALL
                .iter()
                .any(|setting| setting.file_key() == Some(key))
                || Setting::ignored_variable(&format!("OPIK_{}", key.to_ascii_uppercase()))
                    .is_some()
        };
        let unknown = contents.keys().filter(|(key, _)| !is_known(key));
        for (key, line) in unknown.take(MAX_UNKNOWN) {
            self.doubtful |= key.is_empty() || key.contains("url");
            let place = Origin::file(path, line);
            self.problem(place, "no setting has this name", "it is not looked at");
        }
    }

    fn problem(&mut self, origin: Origin, what: &'static str, instead: &'static str) {
        self.problems.push(Problem::new(origin, what, instead));
    }

    /// The first source that says something.
    fn find(&self, setting: Setting, argument: Option<&str>) -> Option<Found> {
        if let Some(text) = argument.map(str::trim).filter(|text| !text.is_empty()) {
            return Some((Some(text.to_owned()), Origin::Argument));
        }
        let variable = |name: &&'static str| self.variable(name);
        if let Some(found) = setting.variables().iter().find_map(variable) {
            return Some(found);
        }
        let (value, line) = self.file.as_ref()?.get(setting.file_key()?)?;
        let value = value.ok().map(|value| value.trim().to_owned());
        if value.as_deref() == Some("") {
            return None;
        }
        Some((value, Origin::file(self.path.as_deref()?, line)))
    }

    fn variable(&self, name: &'static str) -> Option<Found> {
        let value = self.environment.variable(name)?;
        let value = value.to_str().map(|text| text.trim().to_owned());
        (value.as_deref() != Some("")).then_some((value, Origin::Variable(name)))
    }

    /// A value and its source, or what is wrong with it.
    fn read<T>(
        &self,
        setting: Setting,
        argument: Option<&str>,
        parse: impl Fn(&str, &Origin) -> Parsed<T>,
    ) -> Option<(Parsed<T>, Origin)> {
        let (text, origin) = self.find(setting, argument)?;
        let parsed = match &text {
            Some(text) => parse(text, &origin),
            None => Err("it is not UTF-8"),
        };
        Some((parsed, origin))
    }

    /// A value that turns everything off when it is bad.
    fn strict(
        &mut self,
        setting: Setting,
        argument: Option<&str>,
        parse: impl Fn(&str, &Origin) -> Parsed<String>,
    ) -> Sourced<Option<String>> {
        match self.read(setting, argument, parse) {
            None => Sourced::new(None, Origin::Default),
            Some((Ok(value), origin)) => Sourced::new(Some(value), origin),
            Some((Err(what), origin)) => {
                self.unusable = true;
                self.problem(origin.clone(), what, OFF);
                Sourced::new(None, origin)
            }
        }
    }

    /// A value that is as good as not said when it is bad.
    fn lenient<T>(
        &mut self,
        setting: Setting,
        argument: Option<&str>,
        parse: impl Fn(&str) -> Parsed<T>,
    ) -> Sourced<Option<T>> {
        match self.read(setting, argument, |text, _| parse(text)) {
            None => Sourced::new(None, Origin::Default),
            Some((Ok(value), origin)) => Sourced::new(Some(value), origin),
            Some((Err(what), origin)) => {
                self.problem(origin, what, DEFAULT);
                Sourced::new(None, Origin::Default)
            }
        }
    }

    fn switch(
        &mut self,
        setting: Setting,
        argument: Option<bool>,
        default: bool,
        when_bad: bool,
    ) -> Sourced<bool> {
        if let Some(value) = argument {
            return Sourced::new(value, Origin::Argument);
        }
        match self.read(setting, None, |text, _| parse::switch(text)) {
            None => Sourced::new(default, Origin::Default),
            Some((Ok(value), origin)) => Sourced::new(value, origin),
            Some((Err(what), origin)) => {
                let decides = matches!(setting, Setting::Enabled | Setting::TrackDisable);
                self.problem(origin.clone(), what, if decides { OFF } else { DEFAULT });
                Sourced::new(when_bad, if decides { origin } else { Origin::Default })
            }
        }
    }

    fn wait(
        &mut self,
        setting: Setting,
        argument: Option<Duration>,
        default: Duration,
    ) -> Sourced<Duration> {
        match argument {
            Some(wait) if parse::is_wait(&wait) => return Sourced::new(wait, Origin::Argument),
            Some(_) => {
                self.problem(Origin::Argument, "not a time from 10 ms to 10 min", DEFAULT);
                return Sourced::new(default, Origin::Default);
            }
            None => {}
        }
        let found = self.lenient(setting, None, parse::seconds);
        found.map(|wait| wait.unwrap_or(default))
    }

    fn base_url(
        &mut self,
        argument: Option<&str>,
        key: &Sourced<Option<String>>,
    ) -> Sourced<Option<String>> {
        let found = self.strict(Setting::BaseUrl, argument, |text, origin| {
            let address = parse::address(text)?;
            let is_whole = *origin != Origin::Variable(VYASA_URL) || address.ends_with("/api/");
            Ok(if is_whole {
                address
            } else {
                format!("{address}api/")
            })
        });
        if found.origin != Origin::Default {
            let is_override = found.origin == Origin::Variable("OPIK_URL_OVERRIDE");
            if let Some((Some(other), origin)) = self.variable(VYASA_URL).filter(|_| is_override) {
                let other = parse::address(&other).ok();
                let same = |url: &String| {
                    let root = |url: &str| url.trim_end_matches("api/").to_owned();
                    other.as_deref().map(root) == Some(root(url))
                };
                if !found.value.as_ref().is_some_and(same) {
                    self.problem(
                        origin,
                        "OPIK_URL_OVERRIDE is set too",
                        "it is not looked at",
                    );
                }
            }
            return found;
        }
        let Some(text) = &key.value else {
            return found;
        };
        // The file may have named another server than the one the key would now be sent to.
        if self.doubtful {
            self.unusable = true;
            let place = self.path.as_deref().map(|path| Origin::file(path, 0));
            let place = place.unwrap_or(Origin::Default);
            self.problem(place, "it may name a server and cannot be understood", OFF);
            return found;
        }
        match parse::address_in_key(text) {
            Ok(Some(address)) => Sourced::new(Some(address), key.origin.clone()),
            Ok(None) => Sourced::new(Some(CLOUD.to_owned()), Origin::Default),
            Err(what) => {
                self.unusable = true;
                self.problem(key.origin.clone(), what, OFF);
                found
            }
        }
    }

    fn no_server(&mut self, enabled: &Origin) {
        if self.path.is_none() {
            let home = Origin::Variable(if cfg!(windows) { "USERPROFILE" } else { "HOME" });
            self.problem(home, "there is no home directory", "no file is read");
        }
        let what = "it is on, and neither OPIK_URL_OVERRIDE, OPIK_BASE_URL nor OPIK_API_KEY is set";
        self.problem(enabled.clone(), what, OFF);
    }

    fn spool(
        &mut self,
        mode: Option<SpoolMode>,
        directory: Option<PathBuf>,
    ) -> (Sourced<SpoolMode>, Sourced<Option<PathBuf>>) {
        let argument = directory.map(|path| (path, Origin::Argument));
        // A path need not be UTF-8.
        let variable = |name: &&'static str| {
            let path = self
                .environment
                .variable(name)
                .filter(|path| !path.is_empty())?;
            Some((PathBuf::from(path), Origin::Variable(name)))
        };
        let found = argument
            .filter(|(path, _)| !path.as_os_str().is_empty())
            .or_else(|| {
                Setting::SpoolDirectory
                    .variables()
                    .iter()
                    .find_map(variable)
            });
        let directory = match found {
            Some((path, origin)) => {
                let path = expand(path, self.environment);
                // A later change of the working directory does not move it.
                Sourced::new(Some(std::path::absolute(&path).unwrap_or(path)), origin)
            }
            None => Sourced::new(None, Origin::Default),
        };
        let stated = match mode {
            Some(mode) => Some((Ok(mode), Origin::Argument)),
            None => self.read(Setting::SpoolMode, None, |text, _| parse::spool_mode(text)),
        };
        let mode = match (stated, &directory.value) {
            (Some((Err(what), origin)), _) => {
                self.problem(origin, what, IN_MEMORY);
                Sourced::new(SpoolMode::Memory, Origin::Default)
            }
            (Some((Ok(SpoolMode::SpoolOnFailure | SpoolMode::WriteAhead), origin)), None) => {
                self.problem(origin, "OPIK_SPOOL_DIR names no directory", IN_MEMORY);
                Sourced::new(SpoolMode::Memory, Origin::Default)
            }
            (Some((Ok(mode), origin)), _) => Sourced::new(mode, origin),
            (None, Some(_)) => Sourced::new(SpoolMode::SpoolOnFailure, Origin::Default),
            (None, None) => Sourced::new(SpoolMode::Memory, Origin::Default),
        };
        (mode, directory)
    }
}
