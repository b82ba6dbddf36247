//! Finding pieces of secrets in what was seen outside.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// Long enough to be no accident.
const WINDOW: usize = 8;

/// Pieces of eight bytes of secrets, in every form in which one could get out.
#[derive(Default)]
pub(crate) struct Pieces(HashMap<[u8; WINDOW], &'static str>);

impl Pieces {
    /// Adds all pieces of a secret: as it is, in both spellings of a JSON string, in base64 wherever
    /// a group may begin, and in hexadecimal.
    pub(crate) fn add(&mut self, secret: &str) {
        let json = serde_json::to_string(secret).unwrap();
        let units = secret
            .encode_utf16()
            .map(|unit| match char::from_u32(unit.into()) {
                Some(c) if c.is_ascii() => c.to_string(),
                _ => format!("\\u{unit:04x}"),
            });
        let hexadecimal = secret.bytes().map(|byte| format!("{byte:02x}"));
        self.add_form("text", secret.as_bytes());
        self.add_form("json", json.trim_matches('"').as_bytes());
        self.add_form("ascii json", units.collect::<String>().as_bytes());
        self.add_form("hexadecimal", hexadecimal.collect::<String>().as_bytes());
        for from in 0..3 {
            let rest = secret.as_bytes().get(from..).unwrap_or_default();
            // Only whole groups look the same whatever comes after.
            let whole = &rest[..rest.len() / 3 * 3];
            self.add_form("base64", STANDARD.encode(whole).as_bytes());
            self.add_form("base64 of URLs", URL_SAFE.encode(whole).as_bytes());
        }
    }

    fn add_form(&mut self, form: &'static str, text: &[u8]) {
        for window in text.windows(WINDOW) {
            let window: [u8; WINDOW] = window.try_into().unwrap();
            self.0.entry(window).or_insert(form);
        }
    }

    /// The first piece in a text, with its form and what is around it.
    pub(crate) fn find(&self, text: &[u8]) -> Option<String> {
        let mut windows = text.windows(WINDOW).enumerate();
        windows.find_map(|(at, window)| {
            let window: &[u8; WINDOW] = window.try_into().unwrap();
            let form = self.0.get(window)?;
            let around = &text[at.saturating_sub(60)..(at + 60).min(text.len())];
            Some(format!("{form}: {}", String::from_utf8_lossy(around)))
        })
    }
}

#[test]
fn every_form_is_found_and_nothing_else() {
    let secret = "Ann said: \"Zürich\n& 漢字\" twice";
    let mut pieces = Pieces::default();
    pieces.add(secret);
    let encoded = |text: &str| STANDARD.encode(text);
    for text in [
        format!("xx{secret}xx"),
        serde_json::json!([secret]).to_string(),
        encoded(secret),
        encoded(&format!("x{secret}")),
        encoded(&format!("xx{secret}yy")),
        URL_SAFE.encode(secret),
        "Z\\u00fcrich\\n".to_owned(),
        secret.bytes().map(|byte| format!("{byte:02x}")).collect(),
    ] {
        assert!(pieces.find(text.as_bytes()).is_some(), "{text}");
    }
    assert_eq!(pieces.find(b"They said nothing of Zuerich, once"), None);
}
