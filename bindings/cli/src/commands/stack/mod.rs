//! `opik-rs stack`: Vyasa's services with Opik beside them, or the recorder alone.
//!
//! Where a Docker engine answers, docker compose runs the application's own compose file and ours
//! over it ([`engine`]). Where there is none, the recorder runs as a process of this machine
//! ([`embedded`]), on the same port, with the same data.

mod docker;
mod embedded;
mod engine;
mod folder;
mod ports;
mod ready;
mod status;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Subcommand;

use self::docker::{Docker, Program};
use self::folder::{Folder, Secrets};
use crate::config;
use crate::context::Context;
use crate::exit::{Code, Failure, Outcome};

/// The recorder's port on this machine.
const API_PORT: u16 = 56_500;
/// The port of the database of conversations on this machine.
const POSTGRES_PORT: u16 = 55_432;
/// Variables of the environment that are about a stack.
pub(crate) const VARIABLES: [&str; 5] = [
    "OPIK_STACK_DATA",
    "OPIK_API_PORT",
    "OPIK_POSTGRES_PORT",
    "OPIK_RS_IMAGE",
    "OPIK_POSTGRES_IMAGE",
];
/// Our services.
const SERVICES: [&str; 2] = ["opik-api", "opik-postgres"];
/// Where an application's compose file is looked for.
const APPLICATION: [&str; 4] = [
    "deploy/docker-compose.yml",
    "docker-compose.yml",
    "compose.yaml",
    "compose.yml",
];

/// Arguments of `opik-rs stack`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  opik-rs stack start --opik     Vyasa's services and Opik's
  opik-rs stack start            Vyasa's alone; elsewhere, Opik's alone
  opik-rs stack status --opik
  opik-rs stack logs --opik opik-api
  opik-rs stack restart --opik opik-api
  opik-rs stack stop --opik

The application's services are those of deploy/docker-compose.yml, docker-compose.yml or
compose.yaml in this folder, or of --compose FILE. Opik's are opik-api at 127.0.0.1:56500 and
opik-postgres, which keeps the assistant's conversations, at 127.0.0.1:55432; OPIK_API_PORT and
OPIK_POSTGRES_PORT move them. Without a Docker engine opik-api runs as a process of this machine.

Data, secrets and compose files are in one folder, which stays when the services stop:
stack/ beside the store, or --data FOLDER, or OPIK_STACK_DATA.

JSON: {\"engine\", \"folder\", \"url\", \"ready\", \"services\": [{\"name\", \"state\", \"health\",
\"ports\"}], \"notes\"}")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Start the services and wait until they are ready
    Start(Which),
    /// Stop the services; what they keep stays
    Stop(Which),
    /// Stop and start
    Restart(Which),
    /// What runs, where, and whether it is well
    Status(Which),
    /// What the services have written
    Logs(Logs),
}

/// Which services are meant.
#[derive(Debug, clap::Args)]
struct Which {
    /// Opik's services too
    #[arg(long)]
    opik: bool,

    /// One service only, for example opik-api
    service: Option<String>,

    /// A compose file of the application, in place of the one that is looked for
    #[arg(long, value_name = "FILE")]
    compose: Vec<PathBuf>,

    /// The folder of data, secrets and compose files
    #[arg(
        long,
        value_name = "FOLDER",
        env = "OPIK_STACK_DATA",
        hide_env_values = true
    )]
    data: Option<PathBuf>,

    /// Seconds to wait until the recorder is ready
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    wait: u64,
}

#[derive(Debug, clap::Args)]
struct Logs {
    #[command(flatten)]
    which: Which,

    /// Go on with what is written from now on
    #[arg(long, short)]
    follow: bool,

    /// So many lines of each service
    #[arg(long, value_name = "LINES", default_value_t = 200)]
    tail: u32,
}

/// What a stack is made of.
#[derive(Debug)]
struct Stack {
    folder: Folder,
    /// The application's compose files.
    application: Vec<PathBuf>,
    /// Whether Opik's services are meant.
    opik: bool,
    service: Option<String>,
    api_port: u16,
    postgres_port: u16,
    /// Where the recorder's image is not made here.
    image: Option<String>,
    patience: Duration,
}

impl Stack {
    fn new(which: &Which) -> Result<Self, Failure> {
        let folder = match &which.data {
            Some(path) if !path.as_os_str().is_empty() => Folder::new(path)?,
            _ => Folder::new(&config::default_store()?.with_file_name("stack"))?,
        };
        let application = if which.compose.is_empty() {
            let found = APPLICATION
                .iter()
                .map(Path::new)
                .find(|path| path.is_file());
            found.map(Path::to_owned).into_iter().collect()
        } else {
            which.compose.clone()
        };
        for path in &application {
            if !path.is_file() {
                let text = format!("there is no compose file {}", path.display());
                return Err(Failure::new(Code::NotFound, text));
            }
        }
        Ok(Self {
            folder,
            // Where there is no application, Opik is all there is.
            opik: which.opik || application.is_empty(),
            application,
            service: which.service.clone(),
            api_port: port("OPIK_API_PORT", API_PORT)?,
            postgres_port: port("OPIK_POSTGRES_PORT", POSTGRES_PORT)?,
            image: config::variable("OPIK_RS_IMAGE").filter(|name| !name.trim().is_empty()),
            patience: Duration::from_secs(which.wait),
        })
    }

    /// Whether an action is about the recorder.
    fn has_recorder(&self) -> bool {
        self.opik
            && self
                .service
                .as_deref()
                .is_none_or(|name| name == "opik-api")
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.api_port)
    }

    /// The docker command with what the compose files want to know.
    fn docker(&self, secrets: &Secrets, quiet: bool) -> Program {
        let (user, group) = self.folder.owner();
        let image = self
            .image
            .clone()
            .unwrap_or_else(|| "opik-rs:local".to_owned());
        let postgres = config::variable("OPIK_POSTGRES_IMAGE");
        let variables = vec![
            ("OPIK_STACK_DATA", self.folder.root().display().to_string()),
            ("OPIK_API_PORT", self.api_port.to_string()),
            ("OPIK_POSTGRES_PORT", self.postgres_port.to_string()),
            ("OPIK_RS_IMAGE", image),
            (
                "OPIK_POSTGRES_IMAGE",
                postgres.unwrap_or_else(|| "postgres:17".to_owned()),
            ),
            ("OPIK_UID", user.to_string()),
            ("OPIK_GID", group.to_string()),
            // On the environment, not on the command line, which others can read.
            ("OPIK_SERVER_API_KEY", secrets.key.expose().to_owned()),
            (
                "OPIK_POSTGRES_PASSWORD",
                secrets.password.expose().to_owned(),
            ),
        ];
        Program { variables, quiet }
    }
}

fn port(name: &str, default: u16) -> Result<u16, Failure> {
    let text = config::variable(name).filter(|text| !text.trim().is_empty());
    let Some(text) = text else {
        return Ok(default);
    };
    let number = text.trim().parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| Failure::new(Code::Usage, format!("{name} is not a port from 1 to 65535")))
}

/// Does what is asked.
pub(crate) fn run(args: &Args, ctx: &Context) -> Outcome {
    let which = match &args.action {
        Action::Start(which) | Action::Stop(which) | Action::Restart(which) => which,
        Action::Status(which) => which,
        Action::Logs(logs) => &logs.which,
    };
    let stack = Stack::new(which)?;
    stack.folder.make()?;
    let secrets = stack.folder.secrets()?;
    let docker = stack.docker(&secrets, ctx.out.is_json());
    let missing = docker::missing(&docker);
    let host = Host {
        stack: &stack,
        docker: &docker,
        missing: missing.as_deref(),
        ctx,
    };
    match &args.action {
        Action::Start(_) => host.start(&secrets),
        Action::Stop(_) => host.stop(),
        Action::Restart(_) => {
            host.stop()?;
            host.start(&secrets)
        }
        Action::Status(_) => status::show(&host),
        Action::Logs(logs) => host.logs(logs),
    }
}

/// A stack on a machine.
#[derive(Debug)]
struct Host<'s> {
    stack: &'s Stack,
    docker: &'s dyn Docker,
    /// Why there is no Docker engine, where there is none.
    missing: Option<&'s str>,
    ctx: &'s Context,
}

impl Host<'_> {
    fn start(&self, secrets: &Secrets) -> Outcome {
        match self.missing {
            None => engine::start(self)?,
            Some(why) => {
                self.alone(why)?;
                embedded::start(self.stack, secrets)?;
            }
        }
        if self.stack.has_recorder() {
            ready::wait(self.stack, self.missing.is_some())?;
        }
        status::started(self)
    }

    fn stop(&self) -> Outcome {
        // Of a time when there was no engine, perhaps.
        if self.stack.has_recorder() {
            embedded::stop(self.stack)?;
        }
        match self.missing {
            None => engine::stop(self),
            Some(_) => Ok(()),
        }
    }

    fn logs(&self, logs: &Logs) -> Outcome {
        if self.missing.is_none() && !embedded::runs(self.stack)? {
            return engine::logs(self, logs.follow, logs.tail);
        }
        if let Some(why) = self.missing {
            self.alone(why)?;
        }
        embedded::logs(self.stack, logs.follow, logs.tail, self.ctx)
    }

    /// Without an engine there is the recorder and nothing else.
    fn alone(&self, why: &str) -> Outcome {
        let other = self
            .stack
            .service
            .as_deref()
            .filter(|name| *name != "opik-api");
        if let Some(name) = other {
            return Err(
                Failure::new(Code::Failed, format!("{name} needs a Docker engine: {why}"))
                    .hint("opik-api runs without one"),
            );
        }
        if !self.stack.opik {
            let text = format!("the application's services need a Docker engine: {why}");
            return Err(Failure::new(Code::Failed, text)
                .hint("--opik is about the recorder, which runs without one"));
        }
        if !self.ctx.out.is_json() {
            self.ctx.out.notice(&format!(
                "{why}: the recorder runs as a process of this machine\n"
            ));
        }
        Ok(())
    }
}
