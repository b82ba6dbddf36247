//! The trace assistant beside a real Opik.

use std::sync::Arc;

use opik_server::{AssistConfig, AssistServer};
use opik_sessions::{SessionOptions, Sessions};
use serde_json::json;

use super::retention::Retained;
use super::variables::Variables;
use super::{Args, STOP_LIMIT, models, signal, unfit};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::render::style::{DIM, STRONG};

/// The configuration of the assistant, with what the command line says.
pub(super) fn config(args: &Args, variables: &Variables) -> Result<AssistConfig, Failure> {
    let mut config = AssistConfig::from_lookup(|name| variables.get(name)).map_err(unfit)?;
    if let Some(host) = args.host {
        config = config.host(host);
    }
    if let Some(port) = args.port {
        config = config.port(port);
    }
    Ok(config)
}

/// Where conversations are kept, as the variables say, else in `fallback`, else in memory.
pub(super) async fn sessions(
    variables: &Variables,
    fallback: Option<String>,
) -> Result<Sessions, Failure> {
    let configured = opik_sessions::from_variables(|name| variables.get(name)).map_err(unfit)?;
    let (uri, options) = match (configured, fallback) {
        (Some(configured), _) => (configured.uri.expose().to_owned(), configured.options),
        (None, Some(uri)) => (uri, SessionOptions::new()),
        (None, None) => ("memory:".to_owned(), SessionOptions::new()),
    };
    // A file is there or cannot be; a database server may come later, and is no reason not to start.
    let opened = if uri.starts_with("sqlite") {
        opik_sessions::open(&uri, options).await
    } else {
        Sessions::lazy(&uri, options)
    };
    opened.map_err(|error| {
        Failure::new(
            Code::Failed,
            "the database of conversations cannot be opened",
        )
        .cause(error)
        .hint("look at SESSION_SERVICE_URI")
    })
}

/// Serves until it is told to stop.
pub(super) async fn serve(
    args: &Args,
    variables: &Variables,
    ctx: &Context,
) -> Result<(), Failure> {
    let config = config(args, variables)?;
    let opik = config.opik_url().unwrap_or_default().to_owned();
    let is_chosen = variables.is_set("AGENT_MODEL");
    let answering = models::answering(
        |name| variables.get(name),
        config.opik_url(),
        config.model(),
        is_chosen,
    )?;
    let model = answering.name();
    let is_kept = config.sessions().is_some();
    let sessions = sessions(variables, None).await?;
    let retention = Retained::start(&sessions, config.keep_days());
    let server = AssistServer::bind(config, Arc::new(sessions), answering)
        .await
        .map_err(|error| {
            Failure::new(Code::Failed, "the server cannot start")
                .cause(error)
                .hint("another program may listen there; try another PORT")
        })?;
    let address = server.local_addr();
    if ctx.out.is_json() {
        ctx.out.json_line(&json!({
            "url": format!("http://{address}"), "opik": opik, "model": model,
            "sessions": if is_kept { "database" } else { "in_memory" },
        }))?;
    } else {
        let kept = if is_kept {
            ""
        } else {
            "\nconversations end with the program; SESSION_SERVICE_URI keeps them"
        };
        ctx.out.text(&format!(
            "{STRONG}assistant at http://{address}, beside {opik}{STRONG:#}\n\
             {DIM}answers by {}{kept}\nCtrl-C stops{DIM:#}\n",
            model.as_deref().unwrap_or("computation alone"),
        ))?;
    }
    signal().await?;
    let report = server.shutdown(STOP_LIMIT).await;
    retention.stop().await;
    if report.cancelled + report.left_running > 0 {
        ctx.out.notice(&format!(
            "{} answers were cut off; what was said is stored\n",
            report.cancelled + report.left_running
        ));
    }
    Ok(())
}
