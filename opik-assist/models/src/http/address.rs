//! Where a server is.

use reqwest::Url;

use crate::SetupError;

/// The address of a server's API, with a slash at the end.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address(Url);

impl Address {
    /// Checks an address; `what` names it in errors.
    pub(crate) fn parse(what: &'static str, text: &str) -> Result<Self, SetupError> {
        let refuse = |problem| SetupError::Address { what, problem };
        let no_url = "is not a URL such as http://localhost:8000/v1";
        let mut url = Url::parse(text.trim()).map_err(|_| refuse(no_url))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refuse("begins with neither http:// nor https://"));
        }
        if !url.has_host() {
            return Err(refuse(no_url));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse(
                "has a user name or password; give the key separately",
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("has a part after ? or #"));
        }
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("");
        }
        Ok(Self(url))
    }

    /// The URL of an endpoint below it; segments are escaped.
    pub(crate) fn endpoint(&self, segments: &[&str]) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_lie_below_the_address_with_and_without_a_slash() {
        for base in ["http://h:1/v1", " http://h:1/v1/ "] {
            let url = Address::parse("x", base).unwrap().endpoint(&["a", "b c:d"]);
            assert_eq!(url.as_str(), "http://h:1/v1/a/b%20c:d");
        }
        let url = Address::parse("x", "http://h")
            .unwrap()
            .endpoint(&["..", "a/../b"]);
        assert_eq!(url.as_str(), "http://h/a%2F..%2Fb");
    }

    #[test]
    fn what_is_no_address_is_refused_without_being_repeated() {
        for text in [
            "",
            "h:1",
            "ftp://h",
            "http://me:hunter22@h",
            "http://h?hunter22",
            "http://h#x",
        ] {
            let error = Address::parse("the server", text).unwrap_err().to_string();
            assert!(error.starts_with("the address for the server "), "{error}");
            assert!(!error.contains("hunter22"), "{error}");
        }
    }
}
