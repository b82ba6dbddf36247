//! Ports that are to be used: whether they are free, and what to do where they are not.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use serde_json::Value;

/// A port that a service publishes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Port {
    pub(super) service: String,
    pub(super) number: u16,
    /// Whether others than this machine can reach it.
    pub(super) open: bool,
}

/// The ports in what `docker compose config --format json` says.
pub(super) fn configured(config: &Value) -> Vec<Port> {
    let Some(services) = config.get("services").and_then(Value::as_object) else {
        return Vec::new();
    };
    let mut all = BTreeSet::new();
    for (service, definition) in services {
        let ports = definition.get("ports").and_then(Value::as_array);
        for port in ports.into_iter().flatten() {
            // A number, or a text with one.
            let number = port.get("published").and_then(|number| {
                let text = number.as_str().map(str::to_owned);
                text.unwrap_or_else(|| number.to_string()).parse().ok()
            });
            let host = port.get("host_ip").and_then(Value::as_str);
            if let Some(number) = number {
                all.insert(Port {
                    service: service.clone(),
                    number,
                    open: !is_loopback(host.unwrap_or_default()),
                });
            }
        }
    }
    all.into_iter().collect()
}

/// Whether an address is one that only this machine can reach.
pub(super) fn is_loopback(address: &str) -> bool {
    address
        .parse::<std::net::IpAddr>()
        .is_ok_and(|address| address.is_loopback())
}

/// Whether a port can be listened on.
pub(super) fn is_free(number: u16) -> bool {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, number))).is_ok()
}

/// What to do about a port that is taken; `variable` moves ours to another.
pub(super) fn advice(port: &Port, variable: Option<&str>) -> String {
    let find = if cfg!(windows) {
        format!(
            "Get-NetTCPConnection -LocalPort {} tells who has it",
            port.number
        )
    } else {
        format!(
            "`ss -ltnp 'sport = :{0}'` or `lsof -iTCP:{0} -sTCP:LISTEN` tells who has it",
            port.number
        )
    };
    match variable {
        Some(variable) => format!(
            "{find}; stop that program, or set {variable} to another port, for example {variable}={}",
            port.number.saturating_add(1)
        ),
        None => format!(
            "{find}; stop that program, or give {} another port",
            port.service
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ports_are_found_in_what_compose_says() {
        let config = json!({"services": {
            "drafter": {"ports": [{"mode": "ingress", "target": 11434, "published": "11434", "protocol": "tcp"}]},
            "opik-api": {"ports": [{"host_ip": "127.0.0.1", "target": 5000, "published": "56500"}]},
            "quiet": {"image": "x"},
        }});
        let found = configured(&config);
        let found: Vec<_> = found
            .iter()
            .map(|it| (it.service.as_str(), it.number, it.open))
            .collect();
        assert_eq!(
            found,
            [("drafter", 11434, true), ("opik-api", 56500, false)]
        );
    }

    #[test]
    fn a_port_that_is_taken_is_seen_and_the_advice_names_it() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let number = taken.local_addr().unwrap().port();
        assert!(!is_free(number));
        let port = Port {
            service: "opik-api".to_owned(),
            number,
            open: false,
        };
        let advice = advice(&port, Some("OPIK_API_PORT"));
        assert!(
            advice.contains(&number.to_string()) && advice.contains("OPIK_API_PORT="),
            "{advice}"
        );
    }
}
