//! Who asks: the session of Opik's page and the workspace.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::HeaderName;
use axum::http::header;
use axum::http::request::Parts;
use opik_core::Secret;
use sha2::{Digest as _, Sha256};

use super::state::Assist;

/// Whoever has no session.
const ANONYMOUS: &str = "default";
const COOKIE: &str = "sessionToken";

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The value of the cookie `sessionToken`, character by character; `None` without one.
    pub(crate) token: Option<Secret>,
    /// The header `Comet-Workspace`, where there is one.
    pub(crate) workspace: Option<String>,
    /// Whom the sign-in in front of us names, where it is configured to.
    pub(crate) named: Option<String>,
}

impl Caller {
    fn of(headers: &HeaderMap, user_header: Option<&HeaderName>) -> Self {
        let text = |value: &axum::http::HeaderValue| {
            Some(String::from_utf8_lossy(value.as_bytes()).trim().to_owned())
                .filter(|text| !text.is_empty())
        };
        let token = headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(name, _)| name.trim() == COOKIE)
            .map(|(_, value)| unquoted(value.trim()))
            .next_back()
            .filter(|value| !value.is_empty());
        Self {
            token: token.map(Secret::new),
            workspace: headers.get("comet-workspace").and_then(text),
            named: user_header
                .and_then(|name| headers.get(name))
                .and_then(text),
        }
    }

    /// The user's name in the session store: that of whom the sign-in names, which outlives sessions,
    /// else that of the session.
    pub(crate) fn user(&self) -> String {
        match &self.named {
            Some(named) => {
                // No token is like this, so that nobody gets another's name with a cookie.
                hex(&Sha256::digest(format!("user\n{named}").as_bytes()), 16)
            }
            None => self.session_user().unwrap_or_else(|| ANONYMOUS.to_owned()),
        }
    }

    /// The beginning of the token's SHA-256, as the Python program has it, so that its conversations
    /// are found.
    fn session_user(&self) -> Option<String> {
        let token = self.token.as_ref()?;
        Some(hex(&Sha256::digest(token.expose().as_bytes()), 8))
    }

    /// Under whose name the user's conversations were kept when no sign-in named anybody.
    pub(crate) fn former_user(&self) -> Option<String> {
        self.named.as_ref()?;
        self.session_user()
    }

    /// Names who asks, without telling the token.
    pub(crate) fn fingerprint(&self, about: &str) -> [u8; 32] {
        let token = self.token.as_ref().map_or("", |token| token.expose());
        let workspace = self.workspace.as_deref().unwrap_or("");
        let named = self.named.as_deref();
        Self::hashed([token, workspace, about].into_iter().chain(named))
    }

    /// Tells the conversations of a user about one trace in several workspaces apart; `is_former` for
    /// those under the name of the session.
    pub(crate) fn mark(&self, is_former: bool) -> String {
        let token = self.token.as_ref().map_or("", |token| token.expose());
        let token = if self.named.is_some() && !is_former {
            ""
        } else {
            token
        };
        let workspace = self.workspace.as_deref().unwrap_or("");
        hex(&Self::hashed([token, workspace, ""]), 4)
    }

    fn hashed<'p>(parts: impl IntoIterator<Item = &'p str>) -> [u8; 32] {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(part.len().to_le_bytes());
            hash.update(part.as_bytes());
        }
        hash.finalize().into()
    }

    /// The workspace, in the spelling by which workspaces are told apart.
    pub(crate) fn workspace(&self) -> &str {
        self.workspace.as_deref().unwrap_or("default")
    }
}

impl FromRequestParts<Assist> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, assist: &Assist) -> Result<Self, Infallible> {
        let named = assist.config().user_header.as_ref();
        Ok(Self::of(&parts.headers, named))
    }
}

/// A cookie's value without the quotes that some clients put around it.
fn unquoted(value: &str) -> String {
    let inner = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    inner.unwrap_or(value).to_owned()
}

/// The first bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8], count: usize) -> String {
    bytes
        .iter()
        .take(count)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(cookie: &str) -> Caller {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, cookie.parse().unwrap());
        Caller::of(&headers, None)
    }

    #[test]
    fn a_user_is_the_beginning_of_the_tokens_hash() {
        assert_eq!(with("sessionToken=tok-1").user(), "65dcf16ea3dfa490");
        assert_eq!(
            with("other=1; sessionToken=tok-1; Other2=x").user(),
            with("sessionToken=tok-1").user()
        );
        assert_eq!(
            with("sessionToken=\"tok-1\"").user(),
            with("sessionToken=tok-1").user()
        );
        for anonymous in ["sessionToken=", "SessionToken=x", "x=y"] {
            assert_eq!(with(anonymous).user(), "default");
        }
    }

    #[test]
    fn the_token_is_not_printed() {
        assert!(!format!("{:?}", with("sessionToken=tok-1")).contains("tok-1"));
    }

    #[test]
    fn fingerprints_tell_parts_apart() {
        let (mut a, mut b) = (with("sessionToken=ab"), with("sessionToken=a"));
        a.workspace = Some("c".to_owned());
        b.workspace = Some("bc".to_owned());
        assert_ne!(a.fingerprint("t"), b.fingerprint("t"));
    }
}
