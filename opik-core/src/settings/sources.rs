//! What the sources say of a setting: the program, the environment, the file, in this order.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::config_file::{ConfigFile, ConfigFileError, PATH_VARIABLE, expand};
use super::environment::Environment;
use super::ini::Contents;
use super::parse::{self, Parsed};
use super::{Origin, Problem, Setting, Sourced};

/// Most unknown keys of the file that are listed.
const MAX_UNKNOWN: usize = 5;

/// What a bad value leads to.
pub(super) const OFF: &str = "nothing is sent to Opik";
const DEFAULT: &str = "the default is used";

impl<T> Sourced<T> {
    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> Sourced<U> {
        Sourced {
            value: change(self.value),
            origin: self.origin,
        }
    }

    pub(super) fn new(value: T, origin: Origin) -> Self {
        Self { value, origin }
    }
}

/// What a source says; `None` is what is not UTF-8.
type Found = (Option<String>, Origin);

pub(super) struct Loader<'a, E> {
    pub(super) environment: &'a E,
    pub(super) path: Option<PathBuf>,
    pub(super) file: Option<Contents>,
    /// Whether the file may have said something that was not understood.
    pub(super) doubtful: bool,
    pub(super) unusable: bool,
    pub(super) problems: Vec<Problem>,
}

impl<'a, E: Environment> Loader<'a, E> {
    pub(super) fn new(environment: &'a E) -> Self {
        Self {
            environment,
            path: None,
            file: None,
            doubtful: false,
            unusable: false,
            problems: Vec::new(),
        }
    }
}

impl<E: Environment> Loader<'_, E> {
    pub(super) fn open_file(&mut self, argument: Option<PathBuf>) {
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
    pub(super) fn look_at_keys(&mut self, contents: &Contents, path: &Path) {
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

    pub(super) fn problem(&mut self, origin: Origin, what: &'static str, instead: &'static str) {
        self.problems.push(Problem::new(origin, what, instead));
    }

    /// The first source that says something.
    pub(super) fn find(&self, setting: Setting, argument: Option<&str>) -> Option<Found> {
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

    pub(super) fn variable(&self, name: &'static str) -> Option<Found> {
        let value = self.environment.variable(name)?;
        let value = value.to_str().map(|text| text.trim().to_owned());
        (value.as_deref() != Some("")).then_some((value, Origin::Variable(name)))
    }

    /// A value and its source, or what is wrong with it.
    pub(super) fn read<T>(
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
    pub(super) fn strict(
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
    pub(super) fn lenient<T>(
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

    pub(super) fn switch(
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

    pub(super) fn wait(
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
}
