//! Settings that depend on others: the server and the spool.

use std::path::PathBuf;

use super::config_file::expand;
use super::environment::Environment;
use super::load::VYASA_URL;
use super::parse;
use super::sources::{Loader, OFF};
use super::{CLOUD, Origin, Setting, Sourced, SpoolMode};

const IN_MEMORY: &str = "records are kept in memory only";

impl<E: Environment> Loader<'_, E> {
    pub(super) fn base_url(
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

    pub(super) fn no_server(&mut self, enabled: &Origin) {
        if self.path.is_none() {
            let home = Origin::Variable(if cfg!(windows) { "USERPROFILE" } else { "HOME" });
            self.problem(home, "there is no home directory", "no file is read");
        }
        let what = "it is on, and neither OPIK_URL_OVERRIDE, OPIK_BASE_URL nor OPIK_API_KEY is set";
        self.problem(enabled.clone(), what, OFF);
    }

    pub(super) fn spool(
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
