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

    /// The addresses that a person may mean, the likeliest first: a host without a scheme, a page
    /// of Opik's web front end, an address with or without `/api`. Which one it is shows when
    /// [`OpikClient::ping`](super::OpikClient::ping) is answered. They all have the same origin.
    ///
    /// ```
    /// use opik_core::rest::BaseUrl;
    ///
    /// let guesses = BaseUrl::guesses("localhost:5173/default/projects?page=1")?;
    /// assert!(guesses.iter().any(|guess| guess.as_str() == BaseUrl::LOCAL));
    /// # Ok::<(), opik_core::rest::BaseUrlError>(())
    /// ```
    ///
    /// # Errors
    /// [`BaseUrlError`] when it is no address at all.
    pub fn guesses(text: &str) -> Result<Vec<Self>, BaseUrlError> {
        let text = text.trim();
        let text = text.split(['?', '#']).next().unwrap_or_default();
        let given = if text.contains("://") {
            Self::parse(text)?
        } else {
            let near = Self::parse(&format!("http://{text}"))?;
            if near.is_near() {
                near
            } else {
                Self::parse(&format!("https://{text}"))?
            }
        };
        let with_path = |path: &[&str]| {
            let mut url = given.0.clone();
            if let Ok(mut segments) = url.path_segments_mut() {
                segments.clear().extend(path).push("");
            }
            Self(url)
        };
        let path: Vec<&str> = given.0.path_segments().into_iter().flatten().collect();
        let path: Vec<&str> = path.into_iter().filter(|part| !part.is_empty()).collect();
        let mut guesses = Vec::new();
        if given.0.host_str() == Some("www.comet.com") {
            guesses.push(with_path(&["opik", "api"]));
        }
        if path.last() == Some(&"api") {
            guesses.push(given.clone());
        } else {
            let below: Vec<&str> = path.iter().copied().chain(["api"]).collect();
            guesses.push(with_path(&below));
        }
        if path.first() == Some(&"opik") {
            guesses.push(with_path(&["opik", "api"]));
        }
        guesses.push(with_path(&["api"]));
        guesses.push(with_path(&["opik", "api"]));
        guesses.push(with_path(&[]));
        guesses.push(given.clone());
        let mut seen = std::collections::BTreeSet::new();
        guesses.retain(|guess| seen.insert(guess.as_str().to_owned()));
        Ok(guesses)
    }

    /// Whether the host is this machine, as far as the address tells.
    #[must_use]
    pub fn is_near(&self) -> bool {
        let host = self.0.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let address = host.parse::<std::net::IpAddr>();
        host == "localhost"
            || host.ends_with(".localhost")
            || address.is_ok_and(|address| address.is_loopback())
    }

    /// The address with a slash at the end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether requests travel without encryption.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.0.scheme() == "http"
    }

    /// Whether both addresses have the same scheme, host and port.
    #[must_use]
    pub fn is_same_server(&self, other: &Self) -> bool {
        self.is_origin_of(&other.0)
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
    fn what_people_type_leads_to_the_address_that_they_mean() {
        let guesses = |text| -> Vec<String> {
            let guesses = BaseUrl::guesses(text).unwrap();
            guesses.iter().map(BaseUrl::to_string).collect()
        };
        for (text, first, all) in [
            ("localhost:5173", "http://localhost:5173/api/", 3),
            ("http://h/api", "http://h/api/", 3),
            ("h.example.com", "https://h.example.com/api/", 3),
            ("[::1]:80/api", "http://[::1]/api/", 3),
            ("https://www.comet.com", BaseUrl::CLOUD, 3),
            ("https://www.comet.com/opik/team/home", BaseUrl::CLOUD, 5),
            ("https://h/opik", "https://h/opik/api/", 4),
            ("https://h/x/api?page=1#top", "https://h/x/api/", 4),
        ] {
            let guesses = guesses(text);
            assert_eq!(
                (guesses[0].as_str(), guesses.len()),
                (first, all),
                "{text}: {guesses:?}"
            );
        }
        assert!(guesses("http://h/opik/w/projects").contains(&"http://h/opik/api/".to_owned()));
        assert!(BaseUrl::guesses("").is_err() && BaseUrl::guesses("ftp://h").is_err());
        assert!(
            !BaseUrl::parse("http://localhost.example.com")
                .unwrap()
                .is_near()
        );
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
