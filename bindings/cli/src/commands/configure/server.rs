//! The server that is to be configured: found, and asked whether it lets us in.

use opik_core::Secret;
use opik_core::rest::{
    BaseUrl, ClientError, DEFAULT_WORKSPACE, OpikClient, PageNumber, RestError, RestErrorKind,
};

use crate::exit::{Code, Failure};
use crate::opik_server::{impatient, refusal, talk};

/// A server that answered.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) base: BaseUrl,
    pub(super) version: Option<String>,
}

/// Tries the addresses that a text may mean until a server answers. Unchecked, it is the first.
pub(super) fn find(guesses: &[BaseUrl], unchecked: bool) -> Result<Found, Failure> {
    let mut failed = None;
    for base in guesses {
        let mut found = Found {
            base: base.clone(),
            version: None,
        };
        if unchecked {
            return Ok(found);
        }
        let client = client(base, None, DEFAULT_WORKSPACE)?;
        match talk(client.ping())? {
            Ok(()) => {
                found.version = talk(client.server_version())?.ok();
                return Ok(found);
            }
            Err(error) => {
                // All guesses lead to the same host and port: nobody is there for any.
                let nobody = matches!(
                    error.kind(),
                    RestErrorKind::Connect | RestErrorKind::Timeout
                );
                failed.get_or_insert((base, error));
                if nobody {
                    break;
                }
            }
        }
    }
    let Some((base, error)) = failed else {
        return Err(Failure::new(Code::Usage, "no server is named"));
    };
    let hint = match error.kind() {
        RestErrorKind::Connect | RestErrorKind::Timeout => {
            "start the server or correct the address; --no-check writes it as it is"
        }
        _ => "check the address: Opik's page and its API have the same host, the API below /api",
    };
    Err(
        Failure::new(Code::Failed, format!("no Opik answers at {base}"))
            .cause(error)
            .hint(hint),
    )
}

/// Whether key and workspace are accepted; the newest project, if there is one.
pub(super) fn check(
    base: &BaseUrl,
    key: Option<&Secret>,
    workspace: &str,
) -> Result<Option<String>, Failure> {
    let client = client(base, key, workspace)?;
    let newest = async {
        client.check_access().await?;
        let projects = client.projects(None, PageNumber::new(1, 1)).await;
        Ok::<_, RestError>(
            projects
                .ok()
                .and_then(|page| page.content.into_iter().next()),
        )
    };
    match talk(newest)? {
        Ok(project) => Ok(project.map(|project| project.name)),
        Err(error) => Err(match refusal(&error, workspace) {
            Some((text, _)) if key.is_none() => Failure::new(Code::Failed, text)
                .hint("pass the key in OPIK_API_KEY, or on standard input with --api-key -"),
            Some((text, hint)) => Failure::new(Code::Failed, text).hint(hint),
            None => Failure::new(
                Code::Failed,
                "the server does not say whether it lets us in",
            )
            .hint("try again, or write the settings unchecked with --no-check"),
        }
        .cause(error)),
    }
}

/// Key and workspace in a client, which checks that headers can carry them.
pub(super) fn client(
    base: &BaseUrl,
    key: Option<&Secret>,
    workspace: &str,
) -> Result<OpikClient, Failure> {
    let mut builder = impatient(OpikClient::builder(base.as_str())).workspace(workspace);
    if let Some(key) = key {
        builder = builder.api_key(key.clone());
    }
    builder.build().map_err(of_client)
}

fn of_client(error: ClientError) -> Failure {
    match error {
        ClientError::Http(_) => Failure::new(Code::Failed, "cannot make connections").cause(error),
        error => Failure::new(Code::Usage, "the settings cannot be used").cause(error),
    }
}
