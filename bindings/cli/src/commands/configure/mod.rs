//! `opik-rs configure`: writes `~/.opik.config`, which the official clients and the recorder read.

mod dialog;
mod server;

use std::io::Read;
use std::path::PathBuf;

use opik_core::rest::{BaseUrl, DEFAULT_WORKSPACE};
use opik_core::settings::{ConfigFile, OpikSettings, Origin, ProcessEnvironment, Setting};
use opik_core::{Project, Secret};
use serde::Serialize;

use self::dialog::{Dialog, Terminal};
use self::server::Found;
use crate::context::Context;
use crate::exit::{Code, Failure, Outcome};
use crate::render::style::{DIM, GOOD};
use crate::render::text::clean;

/// Longest key on standard input, in bytes.
const MAX_KEY: u64 = 8_192;

/// Arguments of `opik-rs configure`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  opik-rs configure                          ask for everything
  opik-rs configure --use-local              a server on this machine, port 5173
  opik-rs configure --url opik.example.com --api-key - < key.txt
  opik-rs configure --url https://www.comet.com --workspace team --yes

Finds the API below the address, checks that it answers and lets you in, and writes \
~/.opik.config (or the file in OPIK_CONFIG_PATH), which the official clients read too. What else is \
in the file stays. Questions are asked on a terminal only, and not with --json or --yes. The key is \
taken from --api-key, else OPIK_API_KEY, else the file when it is for the same server. In \
--api-key the shell's history keeps it: prefer `-`, which reads standard input, or the variable.

This alone turns no recorder on: OPIK_ENABLED=true does.

JSON: {\"path\", \"written\", \"checked\", \"server_version\", \"url_override\", \"workspace\", \
\"project_name\", \"api_key\": \"set\" or null}")]
pub(crate) struct Args {
    /// Address of the server, or of its page
    #[arg(long, value_name = "URL")]
    url: Option<String>,

    /// The server on this machine: http://localhost:5173
    #[arg(long, conflicts_with = "url")]
    use_local: bool,

    /// The key, or `-` to read it from standard input
    #[arg(long, value_name = "KEY")]
    api_key: Option<String>,

    /// The workspace [default: what is configured for the same server, else default]
    #[arg(long, value_name = "NAME")]
    workspace: Option<String>,

    /// The project [default: that of the file, else Default Project]
    #[arg(long, value_name = "NAME")]
    project: Option<String>,

    /// Write another file
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Ask nothing, and replace what is configured
    #[arg(short, long)]
    yes: bool,

    /// Write without asking the server
    #[arg(long)]
    no_check: bool,
}

/// The result in JSON.
#[derive(Debug, Serialize)]
struct Report<'a> {
    path: String,
    written: bool,
    checked: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_version: Option<&'a str>,
    url_override: &'a str,
    workspace: &'a str,
    project_name: &'a str,
    api_key: Option<&'static str>,
}

/// Configures.
pub(crate) fn run(args: &Args, ctx: &Context) -> Outcome {
    let path = match &args.file {
        Some(path) => path.clone(),
        None => ConfigFile::locate(&ProcessEnvironment).ok_or_else(|| {
            Failure::new(Code::Usage, "there is no home directory").hint("name a file with --file")
        })?,
    };
    let mut file = ConfigFile::open(&path).map_err(|error| {
        Failure::new(Code::Input, format!("cannot use {}", path.display()))
            .cause(error)
            .hint("move it away, or name another file with --file")
    })?;
    let present = OpikSettings::builder().config_path(&path).load();
    if args.api_key.as_deref().is_some_and(|key| key != "-") && !ctx.out.is_json() {
        let text = "note: the shell's history keeps this key; --api-key - reads standard input\n";
        ctx.out.notice(text);
    }
    let mut terminal = Terminal::attached().filter(|_| !args.yes && !ctx.out.is_json());
    let mut answers = Answers {
        args,
        file: &file,
        present: &present,
        dialog: terminal
            .as_mut()
            .map(|terminal| terminal as &mut dyn Dialog),
    };
    let wanted = answers.wanted()?;
    let changed = wanted.changes(&file);
    answers.may_replace(&changed)?;
    if !changed.is_empty() {
        wanted.write(&mut file)?;
    }
    wanted.show(&file, !changed.is_empty(), !args.no_check, ctx)
}

/// Where answers come from: options first, then the person, then what is configured.
struct Answers<'a> {
    args: &'a Args,
    file: &'a ConfigFile,
    /// What is configured, in the environment too.
    present: &'a OpikSettings,
    dialog: Option<&'a mut dyn Dialog>,
}

impl Answers<'_> {
    fn wanted(&mut self) -> Result<Wanted, Failure> {
        let guesses = BaseUrl::guesses(&self.address()?).map_err(|error| {
            Failure::new(Code::Usage, "this is not the address of a server")
                .cause(error)
                .hint("for example --url http://localhost:5173")
        })?;
        let found = server::find(&guesses, self.args.no_check)?;
        let key = self.key(&found.base)?;
        let workspace = self.workspace(&found.base)?;
        let newest = if self.args.no_check {
            server::client(&found.base, key.as_ref(), &workspace).map(|_| None)
        } else {
            server::check(&found.base, key.as_ref(), &workspace)
        }?;
        Ok(Wanted {
            project: self.project(newest)?,
            found,
            key,
            workspace,
        })
    }

    fn address(&mut self) -> Result<String, Failure> {
        if let Some(url) = &self.args.url {
            return Ok(url.clone());
        }
        if self.args.use_local {
            return Ok(BaseUrl::LOCAL.to_owned());
        }
        let configured = self.configured(Setting::BaseUrl, self.present.base_url());
        match &mut self.dialog {
            Some(dialog) => dialog.ask(
                "Address of the server",
                configured.unwrap_or(BaseUrl::LOCAL),
            ),
            None => configured.map(str::to_owned).ok_or_else(|| {
                Failure::new(Code::Usage, "no server is named")
                    .hint("opik-rs configure --use-local, or --url ADDRESS")
            }),
        }
    }

    /// What somebody set, not what is so by default.
    fn configured<T>(&self, setting: Setting, value: Option<T>) -> Option<T> {
        value.filter(|_| *self.present.origin(setting) != Origin::Default)
    }

    /// What is configured, unless it is in the file and the file is about another server.
    fn of_this_server<T>(&self, base: &BaseUrl, setting: Setting, value: Option<T>) -> Option<T> {
        let of_file = matches!(self.present.origin(setting), Origin::File { .. });
        let url = self.file.get("url_override");
        let same = url
            .and_then(|url| BaseUrl::parse(&url).ok())
            .is_some_and(|other| other.is_same_server(base));
        self.configured(setting, value).filter(|_| !of_file || same)
    }

    fn key(&mut self, base: &BaseUrl) -> Result<Option<Secret>, Failure> {
        let key = match self.args.api_key.as_deref() {
            Some("-") => key_from_stdin()?,
            Some(key) => key.trim().to_owned(),
            None if self.args.use_local => return Ok(None),
            None => {
                let present = self.present.api_key();
                if let Some(key) = self.of_this_server(base, Setting::ApiKey, present) {
                    return Ok(Some(key.clone()));
                }
                match &mut self.dialog {
                    Some(dialog) if !base.is_near() => {
                        dialog.ask_secret("API key (empty for none)")?
                    }
                    _ => return Ok(None),
                }
            }
        };
        if key.is_empty() {
            return Ok(None);
        }
        usable(Setting::ApiKey, &key).map(|key| Some(Secret::from(key)))
    }

    fn workspace(&mut self, base: &BaseUrl) -> Result<String, Failure> {
        if let Some(name) = given(Setting::Workspace, self.args.workspace.as_ref())? {
            return Ok(name);
        }
        let present = Some(self.present.workspace()).filter(|_| !self.args.use_local);
        let present = self.of_this_server(base, Setting::Workspace, present);
        let proposal = present.unwrap_or(DEFAULT_WORKSPACE).to_owned();
        match &mut self.dialog {
            Some(dialog) if !base.is_near() => {
                usable(Setting::Workspace, &dialog.ask("Workspace", &proposal)?)
            }
            _ => Ok(proposal),
        }
    }

    fn project(&mut self, newest: Option<String>) -> Result<String, Failure> {
        if let Some(name) = given(Setting::ProjectName, self.args.project.as_ref())? {
            return Ok(name);
        }
        let present = self.configured(Setting::ProjectName, Some(self.present.project_name()));
        let present = present.map(str::to_owned);
        match &mut self.dialog {
            Some(dialog) => {
                let proposal = present.or(newest);
                let proposal = proposal.as_deref().unwrap_or(Project::DEFAULT_NAME);
                usable(Setting::ProjectName, &dialog.ask("Project", proposal)?)
            }
            None => Ok(present.unwrap_or_else(|| Project::DEFAULT_NAME.to_owned())),
        }
    }

    /// Whether what is in the file may be replaced.
    fn may_replace(&mut self, changed: &[&str]) -> Outcome {
        let is_there = |key: &&&str| self.file.get(key).is_some();
        let replaced: Vec<&str> = changed.iter().filter(is_there).copied().collect();
        if replaced.is_empty() || self.args.yes {
            return Ok(());
        }
        let what = format!("{} in {}", replaced.join(", "), self.file.path().display());
        match &mut self.dialog {
            Some(dialog) => match dialog.confirm(&format!("Replace {what}?"))? {
                true => Ok(()),
                false => Err(Failure::new(Code::Failed, "nothing was written")),
            },
            None => Err(
                Failure::new(Code::Usage, format!("this would replace {what}"))
                    .hint("add --yes to replace, or name another file with --file"),
            ),
        }
    }
}

/// What is going to be in the file.
struct Wanted {
    found: Found,
    key: Option<Secret>,
    workspace: String,
    project: String,
}

impl Wanted {
    /// The keys of the file and their values; nothing for what must not be there.
    fn values(&self) -> [(&'static str, Option<&str>); 4] {
        [
            ("url_override", Some(self.found.base.as_str())),
            ("workspace", Some(&self.workspace)),
            ("project_name", Some(&self.project)),
            ("api_key", self.key.as_ref().map(Secret::expose)),
        ]
    }

    /// The keys whose values are others in the file.
    fn changes(&self, file: &ConfigFile) -> Vec<&'static str> {
        let differs = |(key, value): &(&str, Option<&str>)| file.get(key).as_deref() != *value;
        let changed = self.values().into_iter().filter(differs);
        changed.map(|(key, _)| key).collect()
    }

    fn write(&self, file: &mut ConfigFile) -> Outcome {
        let path = file.path().display().to_string();
        for (key, value) in self.values() {
            match value {
                Some(value) => file.set(key, value).map_err(|error| {
                    Failure::new(Code::Usage, "the settings cannot be written").cause(error)
                })?,
                None => file.remove(key),
            }
        }
        file.save().map_err(|error| {
            Failure::new(Code::Failed, format!("cannot write {path}"))
                .cause(error)
                .hint("make its folder writable, or name another file with --file")
        })
    }

    fn show(&self, file: &ConfigFile, written: bool, checked: bool, ctx: &Context) -> Outcome {
        let key = self.key.as_ref().map(|_| "set");
        let version = self.found.version.as_deref();
        let path = file.path().display().to_string();
        if ctx.out.is_json() {
            return Ok(ctx.out.json(&Report {
                path,
                written,
                checked,
                server_version: version,
                url_override: self.found.base.as_str(),
                workspace: &self.workspace,
                project_name: &self.project,
                api_key: key,
            })?);
        }
        let server = match (version, checked) {
            (Some(version), _) => format!("{}, version {version}", self.found.base),
            (None, true) => self.found.base.to_string(),
            (None, false) => format!("{}, not checked", self.found.base),
        };
        let word = if written { "written" } else { "unchanged" };
        let mut text = format!("{GOOD}{word}{GOOD:#}  {}\n", clean(&path));
        for (name, value) in [
            ("server", server.as_str()),
            ("workspace", &self.workspace),
            ("project", &self.project),
            ("key", key.map_or("none", |_| "set (not shown)")),
        ] {
            text.push_str(&format!("  {DIM}{name:<9}{DIM:#}  {}\n", clean(value)));
        }
        text.push_str(
            "Programs record only with OPIK_ENABLED=true; opik-rs doctor shows what is in force.\n",
        );
        Ok(ctx.out.text(&text)?)
    }
}

/// A name from the command line.
fn given(setting: Setting, text: Option<&String>) -> Result<Option<String>, Failure> {
    text.map(|text| usable(setting, text)).transpose()
}

/// A value that programs can use which read it from the file.
fn usable(setting: Setting, text: &str) -> Result<String, Failure> {
    let text = text.trim();
    match setting.check(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(what) => {
            let name = match setting {
                Setting::ApiKey => "API key",
                Setting::Workspace => "workspace",
                _ => "project",
            };
            let text = format!("this {name} cannot be used: {what}");
            Err(Failure::new(Code::Usage, text))
        }
    }
}

fn key_from_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(MAX_KEY)
        .read_to_string(&mut text)
        .map_err(|error| {
            Failure::new(Code::Input, "cannot read the key from standard input").cause(error)
        })?;
    let key = text.trim();
    if key.is_empty() {
        return Err(Failure::new(
            Code::Input,
            "there is no key on standard input",
        ));
    }
    Ok(key.to_owned())
}

#[cfg(test)]
mod tests;
