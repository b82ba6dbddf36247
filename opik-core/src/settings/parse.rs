//! Texts that become values. Errors say what was expected and never repeat the text.

use std::time::Duration;

use super::SpoolMode;

/// Most bytes of a name, a key or an address.
const MAX_TEXT: usize = 4_096;

/// What was expected instead of the text.
pub(super) type Parsed<T> = Result<T, &'static str>;

/// `true`, `1`, `yes`, `on` and their opposites, in any case.
pub(super) fn switch(text: &str) -> Parsed<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" | "y" | "t" => Ok(true),
        "false" | "0" | "no" | "off" | "n" | "f" => Ok(false),
        _ => Err("neither true, 1, yes, on nor false, 0, no, off"),
    }
}

/// Seconds, also fractions, within bounds that make sense for waiting.
pub(super) fn seconds(text: &str) -> Parsed<Duration> {
    let parsed = text
        .parse()
        .ok()
        .and_then(|s| Duration::try_from_secs_f64(s).ok());
    parsed
        .filter(is_wait)
        .ok_or("not a number of seconds from 0.01 to 600")
}

/// Whether a duration is one that a program may wait.
pub(super) fn is_wait(duration: &Duration) -> bool {
    (Duration::from_millis(10)..=Duration::from_mins(10)).contains(duration)
}

/// Megabytes as the official clients count them, in bytes.
pub(super) fn megabytes(text: &str) -> Parsed<usize> {
    let parsed = text
        .parse()
        .ok()
        .filter(|megabytes| (1..=1_000).contains(megabytes));
    let bytes = parsed.map(|megabytes: usize| megabytes * 1024 * 1024);
    bytes.ok_or("not a whole number of megabytes from 1 to 1000")
}

/// A count of characters.
pub(super) fn characters(text: &str) -> Parsed<usize> {
    text.parse().map_err(|_| "not a whole number")
}

/// When records are kept on disk.
pub(super) fn spool_mode(text: &str) -> Parsed<SpoolMode> {
    let is_it = |mode: &SpoolMode| text.eq_ignore_ascii_case(mode.name());
    [
        SpoolMode::Memory,
        SpoolMode::SpoolOnFailure,
        SpoolMode::WriteAhead,
    ]
    .into_iter()
    .find(is_it)
    .ok_or("neither memory, spool_on_failure nor write_ahead")
}

/// A name of anything: no control characters, not too long.
pub(super) fn name(text: &str) -> Parsed<String> {
    if text.len() > MAX_TEXT {
        return Err("longer than 4096 bytes");
    }
    if text.chars().any(char::is_control) {
        return Err("it has control characters");
    }
    Ok(text.to_owned())
}

/// What travels in a header: printable ASCII.
pub(super) fn header(text: &str) -> Parsed<String> {
    if is_quoted(text) {
        return Err("it has quotes around it");
    }
    if !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err("it has characters that cannot be sent in a header");
    }
    name(text)
}

/// The address of a server, with a slash at its end.
///
/// A client checks it again, with a parser for URLs; this finds what a person gets wrong.
pub(super) fn address(text: &str) -> Parsed<String> {
    if is_quoted(text) {
        return Err("it has quotes around it");
    }
    let scheme = ["http://", "https://"].into_iter().find(|scheme| {
        let start = text.get(..scheme.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    });
    let rest = scheme.and_then(|scheme| text.get(scheme.len()..));
    let rest = rest.ok_or("it begins with neither http:// nor https://")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if authority.contains('@') {
        return Err("it has a user name or password; give the key separately");
    }
    if rest.contains(['?', '#']) {
        return Err("it has a part after ? or #");
    }
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '\\' | '"' | '<' | '>');
    if !is_authority(authority) || rest.contains(odd) || text.len() > MAX_TEXT {
        return Err("not an address such as http://localhost:5173/api");
    }
    let path = path.trim_end_matches('/');
    let slash = if path.is_empty() { "" } else { "/" };
    let scheme = scheme.unwrap_or_default();
    Ok(format!("{scheme}{authority}/{path}{slash}"))
}

/// Host and port.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let Some((host, port)) = rest.split_once(']') else {
                return false;
            };
            let is_six = host.contains(':') && host.parse::<std::net::Ipv6Addr>().is_ok();
            (if is_six { host } else { "" }, port)
        }
        None => match text.find(':') {
            Some(colon) => text.split_at(colon),
            None => (text, ""),
        },
    };
    let port_is_fine = match port.strip_prefix(':') {
        Some(digits) => digits.parse::<u16>().is_ok_and(|port| port > 0),
        None => port.is_empty(),
    };
    !host.is_empty() && port_is_fine
}

/// The official clients take the server from a key of two parts: `key*` and JSON in base64.
/// `Ok(None)` is a key of one part.
pub(super) fn address_in_key(key: &str) -> Parsed<Option<String>> {
    use base64::Engine;
    use base64::alphabet::STANDARD;
    use base64::engine::DecodePaddingMode::Indifferent;
    use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

    const UNREADABLE: &str = "it has a second part after * that names no server";
    let Some((_, packed)) = key.split_once('*') else {
        return Ok(None);
    };
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(Indifferent);
    let packed = packed.replace('-', "+").replace('_', "/");
    let json = GeneralPurpose::new(&STANDARD, config).decode(packed);
    let attributes: serde_json::Value = json
        .ok()
        .and_then(|json| serde_json::from_slice(&json).ok())
        .ok_or(UNREADABLE)?;
    let base = attributes.get("baseUrl").and_then(|url| url.as_str());
    let base = address(base.ok_or(UNREADABLE)?).map_err(|_| UNREADABLE)?;
    Ok(Some(format!("{base}opik/api/")))
}

fn is_quoted(text: &str) -> bool {
    text.starts_with(['"', '\'']) || text.ends_with(['"', '\''])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_and_waits_take_what_people_write() {
        for (text, value) in [("TRUE", true), ("On", true), ("1", true), ("Off", false)] {
            assert_eq!(switch(text), Ok(value));
        }
        assert!(switch("maybe").is_err() && switch("").is_err());
        assert_eq!(seconds("2.5"), Ok(Duration::from_millis(2_500)));
        assert_eq!(seconds("2"), Ok(Duration::from_secs(2)));
        for text in ["0", "-1", "NaN", "inf", "1e9", "2s", "", "1e-9"] {
            assert!(seconds(text).is_err(), "{text}");
        }
        assert_eq!(megabytes("20"), Ok(20 << 20));
        assert!(megabytes("0").is_err() && megabytes("99999999999999999999").is_err());
    }

    #[test]
    fn addresses_are_normal_and_wrong_ones_are_explained() {
        for (text, address_) in [
            ("http://h", "http://h/"),
            ("HTTP://h:1/", "http://h:1/"),
            ("https://h/opik/api", "https://h/opik/api/"),
            ("http://[::1]:5173/api//", "http://[::1]:5173/api/"),
        ] {
            assert_eq!(address(text).as_deref(), Ok(address_), "{text}");
        }
        for (text, word) in [
            ("", "neither"),
            ("localhost:5173", "neither"),
            ("ftp://h", "neither"),
            ("\"http://h\"", "quotes"),
            ("http://", "not an address"),
            ("http://:80", "not an address"),
            ("http://h:99999", "not an address"),
            ("http://h:0", "not an address"),
            ("http://[zz]", "not an address"),
            ("http://[::1", "not an address"),
            ("http://a b", "not an address"),
            ("http://a\nb", "not an address"),
            ("http://me:pass@h", "password"),
            ("http://h?x", "after ?"),
            ("http://h/#x", "after ?"),
        ] {
            let error = address(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn a_key_of_two_parts_names_its_server() {
        // {"baseUrl": "https://opik.example.com"}
        let packed = "eyJiYXNlVXJsIjogImh0dHBzOi8vb3Bpay5leGFtcGxlLmNvbSJ9";
        assert_eq!(
            address_in_key(&format!("abc*{packed}")),
            Ok(Some("https://opik.example.com/opik/api/".to_owned()))
        );
        assert_eq!(address_in_key("abc"), Ok(None));
        for key in ["abc*", "abc*!!", "abc*e30=", "a*b*c"] {
            assert!(address_in_key(key).is_err(), "{key}");
        }
    }
}
