//! The stack on a Docker engine, by docker compose.

use serde_json::Value;

use super::ports::{self, Port};
use super::{Host, SERVICES};
use crate::exit::{Code, Failure, Outcome};

/// The network that the application's services and ours meet in.
const NETWORK: &str = "vyasa-net";
/// The application's service that is told where Opik is.
const ORCHESTRATOR: &str = "orchestrator";

fn broken(error: std::io::Error) -> Failure {
    Failure::new(Code::Failed, "the docker command cannot be run").cause(error)
}

/// The beginning of a compose command about all files that are meant.
fn compose(host: &Host<'_>) -> Result<Vec<String>, Failure> {
    let stack = host.stack;
    let mut args = vec!["compose".to_owned()];
    let mut file = |path: &std::path::Path| {
        args.extend(["-f".to_owned(), path.display().to_string()]);
    };
    for path in &stack.application {
        file(path);
    }
    if stack.opik {
        file(&stack.folder.path("compose.opik.yaml"));
        if stack.image.is_none() {
            file(&stack.folder.path("compose.build.yaml"));
        }
    }
    if stack.application.is_empty() {
        // Else the name is the application's own, as without us.
        args.extend(["-p".to_owned(), "opik-rs".to_owned()]);
    } else if stack.opik
        && services(host, &args)?
            .iter()
            .any(|name| name == ORCHESTRATOR)
    {
        let path = stack.folder.path("compose.vyasa.yaml");
        args.extend(["-f".to_owned(), path.display().to_string()]);
    }
    Ok(args)
}

fn with<'a>(args: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    args.iter()
        .map(String::as_str)
        .chain(more.iter().copied())
        .collect()
}

fn services(host: &Host<'_>, args: &[String]) -> Result<Vec<String>, Failure> {
    let said = host
        .docker
        .ask(&with(args, &["config", "--services"]))
        .map_err(broken)?;
    if !said.ok {
        return Err(Failure::new(
            Code::Failed,
            format!("the compose files cannot be used: {}", said.problem()),
        )
        .hint("docker compose config shows what is wrong"));
    }
    Ok(said
        .stdout
        .lines()
        .map(|line| line.trim().to_owned())
        .collect())
}

/// Makes the network, unless it is there.
fn make_network(host: &Host<'_>) -> Outcome {
    let known = host
        .docker
        .ask(&["network", "inspect", NETWORK])
        .map_err(broken)?;
    if known.ok {
        return Ok(());
    }
    let made = host
        .docker
        .ask(&["network", "create", NETWORK])
        .map_err(broken)?;
    if made.ok || made.stderr.contains("already exists") {
        return Ok(());
    }
    Err(Failure::new(
        Code::Failed,
        format!("the network {NETWORK} cannot be made: {}", made.problem()),
    )
    .hint("docker network ls shows those that are there"))
}

/// A container of the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Container {
    pub(super) service: String,
    pub(super) state: String,
    pub(super) health: String,
    /// Addresses of this machine that lead to it.
    pub(super) ports: Vec<(String, u16)>,
}

/// The containers in what `docker compose ps --format json` says: a list, or one object a line.
fn containers_in(text: &str) -> Vec<Container> {
    let mut all = Vec::new();
    let values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    for value in values.map_while(Result::ok) {
        match value {
            Value::Array(list) => all.extend(list),
            one => all.push(one),
        }
    }
    let text = |value: &Value, name: &str| {
        value
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    all.iter()
        .map(|value| {
            let publishers = value.get("Publishers").and_then(Value::as_array);
            let mut ports: Vec<(String, u16)> = publishers
                .into_iter()
                .flatten()
                .filter_map(|port| {
                    let number = port.get("PublishedPort")?.as_u64()?;
                    let number = u16::try_from(number).ok().filter(|number| *number > 0)?;
                    Some((text(port, "URL"), number))
                })
                .collect();
            ports.sort();
            ports.dedup();
            Container {
                service: text(value, "Service"),
                state: text(value, "State"),
                health: text(value, "Health"),
                ports,
            }
        })
        .collect()
}

/// The containers of the stack, running or not.
pub(super) fn containers(host: &Host<'_>) -> Result<Vec<Container>, Failure> {
    host.stack.folder.write_compose(false)?;
    let args = compose(host)?;
    let said = host
        .docker
        .ask(&with(&args, &["ps", "--all", "--format", "json"]))
        .map_err(broken)?;
    if !said.ok {
        return Err(Failure::new(
            Code::Failed,
            format!("docker does not tell what runs: {}", said.problem()),
        ));
    }
    Ok(containers_in(&said.stdout))
}

/// Refuses when a port of ours is taken by somebody else, and warns of the application's.
fn check_ports(host: &Host<'_>, args: &[String]) -> Outcome {
    let said = host
        .docker
        .ask(&with(args, &["config", "--format", "json"]))
        .map_err(broken)?;
    let config: Value = serde_json::from_str(&said.stdout).unwrap_or(Value::Null);
    let running = containers(host)?;
    let is_meant = |port: &&Port| {
        host.stack
            .service
            .as_deref()
            .is_none_or(|name| name == port.service)
    };
    for port in ports::configured(&config).iter().filter(is_meant) {
        // What is taken by the service itself is not taken.
        let own = running.iter().any(|container| {
            container.service == port.service
                && container
                    .ports
                    .iter()
                    .any(|(_, number)| *number == port.number)
        });
        if own || ports::is_free(port.number) {
            continue;
        }
        let variable = match port.service.as_str() {
            "opik-api" => Some("OPIK_API_PORT"),
            "opik-postgres" => Some("OPIK_POSTGRES_PORT"),
            _ => None,
        };
        let text = format!("port {} of {} is taken", port.number, port.service);
        let advice = ports::advice(port, variable);
        if variable.is_some() {
            return Err(Failure::new(Code::Failed, text).hint(advice));
        }
        host.ctx
            .out
            .notice(&format!("warning: {text}\n  try: {advice}\n"));
    }
    Ok(())
}

/// Starts what is meant.
pub(super) fn start(host: &Host<'_>) -> Outcome {
    let stack = host.stack;
    let builds = stack.opik && stack.image.is_none();
    if builds && !cfg!(target_os = "linux") {
        return Err(Failure::new(
            Code::Failed,
            "this program does not run in a container, because it is not made for Linux",
        )
        .hint("OPIK_RS_IMAGE names an image that does; the repository has a Dockerfile"));
    }
    stack.folder.write_compose(builds)?;
    make_network(host)?;
    let args = compose(host)?;
    check_ports(host, &args)?;
    let mut up = with(&args, &["up", "--detach"]);
    if builds && stack.has_recorder() {
        up.push("--build");
    }
    up.extend(stack.service.as_deref());
    if host.docker.run(&up).map_err(broken)? {
        return Ok(());
    }
    Err(
        Failure::new(Code::Failed, "docker compose did not start the services")
            .hint("opik-rs stack logs --opik shows what they wrote"),
    )
}

/// Stops what is meant. Data stays.
pub(super) fn stop(host: &Host<'_>) -> Outcome {
    host.stack.folder.write_compose(false)?;
    let args = compose(host)?;
    let service = host.stack.service.as_deref();
    let stop = match service {
        Some(service) => with(&args, &["stop", service]),
        None => with(&args, &["down"]),
    };
    if host.docker.run(&stop).map_err(broken)? {
        return Ok(());
    }
    Err(
        Failure::new(Code::Failed, "docker compose did not stop the services")
            .hint("opik-rs stack status --opik shows what runs"),
    )
}

/// Shows what the services wrote.
pub(super) fn logs(host: &Host<'_>, follow: bool, tail: u32) -> Outcome {
    host.stack.folder.write_compose(false)?;
    let args = compose(host)?;
    let tail = tail.to_string();
    let mut logs = with(&args, &["logs", "--tail", &tail]);
    if follow {
        logs.push("--follow");
    }
    let service = host.stack.service.as_deref();
    logs.extend(service);
    if host.docker.run(&logs).map_err(broken)? {
        return Ok(());
    }
    let hint = match service {
        Some(name) if !host.stack.opik && SERVICES.contains(&name) => {
            "--opik is needed for the services of Opik"
        }
        _ => "opik-rs stack status --opik shows which services there are",
    };
    Err(Failure::new(Code::Failed, "docker compose has no logs to show").hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_read_from_lines_and_from_a_list() {
        let one = r#"{"Service":"opik-api","State":"running","Health":"healthy","Publishers":[{"URL":"127.0.0.1","TargetPort":5000,"PublishedPort":56500,"Protocol":"tcp"}]}"#;
        let two = r#"{"Service":"opik-postgres","State":"exited","Health":"","Publishers":null}"#;
        let lines = containers_in(&format!("{one}\n{two}\n"));
        let list = containers_in(&format!("[{one},{two}]"));
        assert_eq!(lines, list);
        assert_eq!(lines[0].ports, [("127.0.0.1".to_owned(), 56_500)]);
        assert_eq!(
            (lines[1].state.as_str(), lines[1].ports.len()),
            ("exited", 0)
        );
        assert!(containers_in("").is_empty() && containers_in("no json").is_empty());
    }
}
