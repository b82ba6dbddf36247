//! Turns as OTLP/HTTP in JSON, for New Relic and any collector.

use opik_formats::write_otlp_json;
use reqwest::header::{CONTENT_TYPE, HeaderValue};

use super::config::OtlpConfig;
use super::courier::{Frame, Target};
use super::turn::TurnTrace;

const BEFORE: &str = "{\"resourceSpans\":[";
const AFTER: &str = "]}";

pub(super) fn target(config: &OtlpConfig) -> Target {
    let mut headers = config.headers.clone();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Target {
        name: config.name,
        url: config.url.clone(),
        headers,
        frame: Frame::List {
            before: BEFORE.to_owned(),
            after: AFTER,
        },
    }
}

/// The spans of a turn as an element of a request.
pub(super) fn item(turn: &TurnTrace) -> Option<String> {
    let mut request = Vec::new();
    write_otlp_json(&mut request, &turn.trace, &turn.spans).ok()?;
    let request = String::from_utf8(request).ok()?;
    let element = request.trim_end().strip_prefix(BEFORE)?;
    element.strip_suffix(AFTER).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_and_their_frame_are_a_request() {
        let item = item(&TurnTrace::new("opik-assist")).unwrap();
        let request = format!("{BEFORE}{item},{item}{AFTER}");
        let request: serde_json::Value = serde_json::from_str(&request).unwrap();
        assert_eq!(request["resourceSpans"].as_array().unwrap().len(), 2);
    }
}
