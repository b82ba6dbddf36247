//! The address of a server.

use std::fmt;

use reqwest::Url;

/// Where Opik is: the address up to and including `/api/`, as its web page and its official
/// clients write it.
///
/// All of these are accepted, with or without the slash at the end:
///
/// | address | what answers there |
/// |---|---|
/// | `http://localhost:5173/api` | a local installation ([`LOCAL`](Self::LOCAL)) |
/// | `https://www.comet.com/opik/api` | the cloud ([`CLOUD`](Self::CLOUD)) |
/// | `https://host/opik/api` | behind a proxy with a prefix |
/// | `http://host:8080` | the Java service itself, without its proxy |
///
/// Nothing is added to or guessed from the address: a server that lives under `/api` needs it.
///
/// ```
/// use opik_core::rest::BaseUrl;
///
/// let base = BaseUrl::parse("https://opik.example.com/opik/api")?;
/// assert_eq!(base.as_str(), "https://opik.example.com/opik/api/");
/// # Ok::<(), opik_core::rest::BaseUrlError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl(Url);

/// Why a text is not the address of a server. It does not repeat the text, which may hold a
/// password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BaseUrlError {
    /// Not a URL with a host.
    #[error("the base URL is not a URL such as http://localhost:5173/api/")]
    Invalid,
    /// Neither `http` nor `https`.
    #[error("the base URL begins with neither http:// nor https://")]
    Scheme,
    /// It has a user name or password.
    #[error("the base URL has a user name or password; give the key separately")]
    Credentials,
    /// It has a query or a fragment.
    #[error("the base URL has a part after ? or #")]
    Query,
}

impl BaseUrl {
    /// A local installation with its default port.
    pub const LOCAL: &'static str = "http://localhost:5173/api/";
    /// The cloud.
    pub const CLOUD: &'static str = "https://www.comet.com/opik/api/";

    /// Checks an address. Spaces around it do not matter.
    ///
    /// # Errors
    /// [`BaseUrlError`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, BaseUrlError> {
        let mut url = Url::parse(text.trim()).map_err(|_| BaseUrlError::Invalid)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(BaseUrlError::Scheme);
        }
        if !url.has_host() {
            return Err(BaseUrlError::Invalid);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BaseUrlError::Credentials);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(BaseUrlError::Query);
        }
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("");
        }
        Ok(Self(url))
    }

    /// The address with a slash at the end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether requests travel without encryption.
    pub(super) fn is_plain(&self) -> bool {
        self.0.scheme() == "http"
    }

    /// Whether a URL leads to the same server, so that it may see the key.
    pub(super) fn is_origin_of(&self, url: &Url) -> bool {
        self.0.origin() == url.origin()
    }

    /// The URL of an endpoint; segments and query are escaped.
    pub(super) fn endpoint(&self, segments: &[String], query: &[(&'static str, String)]) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(base: &str) -> String {
        let segments = ["v1", "private", "a b/ü"].map(str::to_owned);
        BaseUrl::parse(base)
            .unwrap()
            .endpoint(&segments, &[("q", "1&2".to_owned())])
            .to_string()
    }

    #[test]
    fn every_accepted_form_leads_to_the_endpoint() {
        let rest = "v1/private/a%20b%2F%C3%BC?q=1%262";
        for (base, root) in [
            ("http://h:1", "http://h:1/"),
            ("http://h:1/", "http://h:1/"),
            ("http://h:1/api", "http://h:1/api/"),
            (" http://h:1/api/ ", "http://h:1/api/"),
            ("HTTP://h:1/opik/api", "http://h:1/opik/api/"),
            (
                "https://www.comet.com/opik/api/",
                "https://www.comet.com/opik/api/",
            ),
            ("http://[::1]:5173/api", "http://[::1]:5173/api/"),
        ] {
            assert_eq!(BaseUrl::parse(base).unwrap().as_str(), root);
            assert_eq!(endpoint(base), format!("{root}{rest}"));
        }
    }

    #[test]
    fn other_texts_are_refused_without_being_repeated() {
        for (text, expected) in [
            ("", BaseUrlError::Invalid),
            ("localhost", BaseUrlError::Invalid),
            ("http://", BaseUrlError::Invalid),
            ("localhost:5173/api", BaseUrlError::Scheme),
            ("ftp://h/api", BaseUrlError::Scheme),
            ("http://me:hunter22@h/api", BaseUrlError::Credentials),
            ("http://h/api?x=1", BaseUrlError::Query),
            ("http://h/api#x", BaseUrlError::Query),
        ] {
            let error = BaseUrl::parse(text).unwrap_err();
            assert_eq!(error, expected, "{text}");
            assert!(!error.to_string().contains("hunter22"));
        }
    }
}
