//! `opik-rs serve`: the recorder server or, beside a real Opik, the trace assistant, until Ctrl-C or
//! a polite signal.

mod beside;
mod check;
mod help;
mod logging;
mod models;
mod retention;
mod variables;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use opik_core::Secret;
use opik_server::{Running, Server, ServerConfig, ServerError};
use retention::Retained;
use serde_json::json;
use variables::Variables;

use crate::context::Context;
use crate::exit::{Code, Failure, Outcome};
use crate::render::style::{DIM, STRONG};

/// How long requests that have begun may take when the server stops.
const STOP_LIMIT: Duration = Duration::from_secs(10);

const EXAMPLES: &str = "\
Examples:
  opik-rs serve                listen where SDKs look for a local Opik
  opik-rs serve --port 8081    somewhere else
  opik-rs serve --vyasa        for an unmodified Vyasa too
  opik-rs serve --host 0.0.0.0
                               for other machines too; set
                               OPIK_SERVER_API_KEY, which clients then send

Point an official SDK at it:
  opik configure --use_local           finds it at http://localhost:5173
  export OPIK_URL_OVERRIDE=http://127.0.0.1:5173/api/

With AGENT_OPIK_URL it is the trace assistant beside that Opik instead:
  AGENT_OPIK_URL=http://opik-backend:8080 opik-rs serve

Everything is kept in the store (--db), which the other commands read while the
server runs. Variables of the environment are told by --help and the guides.

JSON, one line once it listens:
  {\"url\": \"http://127.0.0.1:5173/api/\", \"store\": FILE}";

/// Arguments of `opik-rs serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{}", help::VARIABLES))]
pub(crate) struct Args {
    /// Address to listen on [default: HOST, else 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    host: Option<IpAddr>,

    /// Port to listen on, 0 for any that is free [default: PORT, else 5173]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,

    /// Also serve what Vyasa calls: /api/traces, /api/evals and /api/prompts/NAME
    /// [default: OPIK_SERVER_VYASA]
    #[arg(long)]
    vyasa: bool,

    /// Ask the server that runs with this configuration whether it is well, and end
    #[arg(long)]
    check: bool,
}

/// Serves until it is told to stop.
pub(crate) fn run(args: &Args, ctx: &Context) -> Outcome {
    let variables = Variables::read()?;
    let beside_opik = variables.is_set("AGENT_OPIK_URL");
    if args.check {
        return if beside_opik {
            let config = beside::config(args, &variables)?;
            check::check(
                config.address(),
                &format!("{}/healthz", config.url_prefix()),
            )
        } else {
            check::check(config(args, &variables)?.address(), "/is-alive/ping")
        };
    }
    logging::start(&variables, ctx.out.is_json())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("opik-rs-serve")
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Code::Failed, "cannot start threads").cause(error))?;
    if beside_opik {
        return runtime.block_on(beside::serve(args, &variables, ctx));
    }
    runtime.block_on(alone(args, &variables, ctx))
}

/// The configuration of the recorder server, with what the command line says.
fn config(args: &Args, variables: &Variables) -> Result<ServerConfig, Failure> {
    let mut config = ServerConfig::from_lookup(|name| variables.get(name)).map_err(unfit)?;
    if let Some(host) = args.host {
        config = config.host(host);
    }
    if let Some(port) = args.port {
        config = config.port(port);
    }
    if args.vyasa {
        config = config.vyasa(true);
    }
    Ok(config)
}

fn unfit(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::new(Code::Usage, "the environment does not fit")
        .cause(error)
        .hint("opik-rs serve --help")
}

/// The recorder server, with the assistant about what it has recorded.
async fn alone(args: &Args, variables: &Variables, ctx: &Context) -> Outcome {
    let config = config(args, variables)?;
    let assist = beside::config(args, variables)?;
    let answering = models::answering(
        |name| variables.get(name),
        None,
        assist.model(),
        variables.is_set("AGENT_MODEL"),
    )?;
    let store = ctx.open_store()?;
    let path = ctx.store_path()?;
    let talks = path.with_extension("sessions.db");
    let talks = format!("sqlite:{}", talks.display());
    let sessions = beside::sessions(variables, Some(talks.clone())).await?;
    let assist = match assist.sessions() {
        Some(_) => assist,
        None => assist.keep_sessions_in(Secret::new(talks)),
    };
    let retention = Retained::start(&sessions, assist.keep_days());
    let with_key = config.has_api_key();
    let server = Server::bind_with_assistant(config, store, assist, Arc::new(sessions), answering)
        .await
        .map_err(not_started)?;
    let url = url(&server);
    if ctx.out.is_json() {
        ctx.out
            .json_line(&json!({"url": url, "store": path.display().to_string()}))?;
    } else {
        let key = if with_key {
            "\n  export OPIK_API_KEY=<the key in OPIK_SERVER_API_KEY>"
        } else {
            ""
        };
        ctx.out.text(&format!(
            "{STRONG}recording at {url}{STRONG:#}\n\n\
             Point a program at it:\n  export OPIK_URL_OVERRIDE={url}{key}\n\n\
             Then look at what it did:\n  opik-rs traces\n  opik-rs ask last \"why is it slow?\"\n\n\
             {DIM}store: {}\nCtrl-C stops{DIM:#}\n",
            path.display()
        ))?;
    }
    signal().await?;
    let report = server.shutdown(STOP_LIMIT).await;
    retention.stop().await;
    if !report.is_clean() {
        ctx.out
            .notice("some requests were cut off; what was acknowledged is in the store\n");
    }
    Ok(())
}

fn url(server: &Running) -> String {
    let address = server.local_addr();
    // Nobody can call 0.0.0.0.
    if address.ip().is_unspecified() {
        format!("http://127.0.0.1:{}/api/", address.port())
    } else {
        format!("http://{address}/api/")
    }
}

fn not_started(error: ServerError) -> Failure {
    let hint = match &error {
        ServerError::Bind { .. } => "another program may listen there; try --port 5174",
        ServerError::OpenToOthers { .. } => "OPIK_SERVER_API_KEY=<key> opik-rs serve",
        _ => "opik-rs doctor",
    };
    Failure::new(Code::Failed, "the server cannot start")
        .cause(error)
        .hint(hint)
}

/// Waits for Ctrl-C, or for the signal that service managers send.
async fn signal() -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(Code::Failed, "cannot listen for signals").cause(error)
    };
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        tokio::select! {
            interrupt = tokio::signal::ctrl_c() => interrupt.map_err(failed),
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await.map_err(failed)
}
