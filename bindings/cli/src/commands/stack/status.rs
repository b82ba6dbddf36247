//! What runs, where, and whether it is well.

use serde::Serialize;

use super::engine::{self, Container};
use super::ports::is_loopback;
use super::{Host, SERVICES, embedded, ready};
use crate::exit::{Code, Failure, Outcome};
use crate::render::numbers::bytes;
use crate::render::style::{BAD, DIM, GOOD, STRONG, WARN};

/// The result in JSON.
#[derive(Debug, Serialize)]
struct Report {
    /// `docker`, or why there is none.
    engine: String,
    folder: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    ready: bool,
    services: Vec<Service>,
    /// What somebody should look at.
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Service {
    name: String,
    state: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    health: String,
    ports: Vec<String>,
}

impl From<Container> for Service {
    fn from(container: Container) -> Self {
        let ports = container.ports.iter();
        Self {
            name: container.service,
            state: container.state,
            health: container.health,
            ports: ports
                .map(|(address, port)| format!("{address}:{port}"))
                .collect(),
        }
    }
}

fn report(host: &Host<'_>) -> Result<Report, Failure> {
    let stack = host.stack;
    let mut notes = Vec::new();
    let mut services = Vec::new();
    let is_embedded = host.missing.is_some() || embedded::runs(stack)?;
    if host.missing.is_none() {
        for container in engine::containers(host)? {
            let open = container
                .ports
                .iter()
                .find(|(address, _)| !is_loopback(address));
            if let Some((address, port)) = open {
                notes.push(format!(
                    "{} can be reached by others at {address}:{port}",
                    container.service
                ));
            }
            services.push(Service::from(container));
        }
    }
    if is_embedded && stack.opik {
        services.retain(|service| service.name != "opik-api");
        services.push(Service {
            name: "opik-api".to_owned(),
            state: embedded::state(stack)?.to_owned(),
            health: String::new(),
            ports: vec![format!("127.0.0.1:{}", stack.api_port)],
        });
    } else if stack.opik {
        for name in SERVICES {
            if !services.iter().any(|service| service.name == name) {
                services.push(Service {
                    name: name.to_owned(),
                    state: "not there".to_owned(),
                    health: String::new(),
                    ports: Vec::new(),
                });
            }
        }
    }
    if let Some(name) = &stack.service {
        services.retain(|service| service.name == *name);
    }
    if let Ok(free) = fs4::available_space(stack.folder.root())
        && free < 1 << 30
    {
        notes.push(format!("only {} are free for data", bytes(free)));
    }
    #[cfg(unix)]
    if let Ok(data) = std::fs::metadata(stack.folder.secrets_file()) {
        use std::os::unix::fs::PermissionsExt as _;
        if data.permissions().mode() & 0o077 != 0 {
            let path = stack.folder.secrets_file();
            notes.push(format!(
                "others can read the secrets: chmod 600 {}",
                path.display()
            ));
        }
    }
    let is_ready = !stack.has_recorder() || ready::is_ready(stack.api_port);
    Ok(Report {
        engine: host
            .missing
            .map_or_else(|| "docker".to_owned(), |why| format!("none: {why}")),
        folder: stack.folder.root().display().to_string(),
        url: stack.has_recorder().then(|| stack.url()),
        ready: is_ready,
        services,
        notes,
    })
}

fn table(report: &Report) -> String {
    let width = report
        .services
        .iter()
        .map(|it| it.name.len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for service in &report.services {
        let style = match (service.state.as_str(), service.health.as_str()) {
            ("running", "unhealthy") => WARN,
            ("running", _) => GOOD,
            _ => BAD,
        };
        text.push_str(&format!(
            "{style}{:<12}{style:#} {:<width$}  {}{}\n",
            service.state,
            service.name,
            service.ports.join(", "),
            if service.health.is_empty() {
                String::new()
            } else {
                format!("  {}", service.health)
            },
        ));
    }
    text.push_str(&format!(
        "{DIM}engine: {}\ndata:   {}{DIM:#}\n",
        report.engine, report.folder
    ));
    for note in &report.notes {
        text.push_str(&format!("{WARN}note{WARN:#}    {note}\n"));
    }
    text
}

/// Shows what runs; fails when something that is meant does not.
pub(super) fn show(host: &Host<'_>) -> Outcome {
    let report = report(host)?;
    if host.ctx.out.is_json() {
        host.ctx.out.json(&report)?;
    } else {
        host.ctx.out.text(&table(&report))?;
    }
    let down = report
        .services
        .iter()
        .find(|service| service.state != "running");
    if let Some(down) = down {
        return Err(
            Failure::new(Code::Failed, format!("{} does not run", down.name)).hint(format!(
                "opik-rs stack start --opik, or opik-rs stack logs --opik {}",
                down.name
            )),
        );
    }
    if report.ready && !report.services.is_empty() {
        return Ok(());
    }
    let text = if report.services.is_empty() {
        "nothing of it runs"
    } else {
        "the recorder does not answer"
    };
    Err(Failure::new(Code::Failed, text).hint("opik-rs stack start --opik"))
}

/// Says what was started, and how programs find it.
pub(super) fn started(host: &Host<'_>) -> Outcome {
    let report = report(host)?;
    if host.ctx.out.is_json() {
        host.ctx.out.json(&report)?;
        return Ok(());
    }
    let mut text = table(&report);
    if let Some(url) = &report.url {
        text.push_str(&format!(
            "\n{STRONG}recording at {url}/api/{STRONG:#}\n\
             For programs on this machine:\n  \
             export OPIK_URL_OVERRIDE={url}/api/\n  \
             export OPIK_API_KEY=$(sed -n s/^OPIK_SERVER_API_KEY=//p {secrets})\n\
             For Vyasa on this machine, with the same key:\n  \
             export OPIK_ENABLED=true OPIK_BASE_URL={url}\n\
             {DIM}What was recorded: opik-rs --db {store} traces{DIM:#}\n",
            secrets = host.stack.folder.secrets_file().display(),
            store = host.stack.folder.path("opik/traces.db").display(),
        ));
    }
    host.ctx.out.text(&text)?;
    Ok(())
}
