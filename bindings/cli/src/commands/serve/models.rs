//! Which model answers whom.

use std::fmt;
use std::sync::Arc;

use opik_core::{ChatModel, Secret};
use opik_models::{Caller, ModelSettings, Models, OpikProxy};
use opik_server::AnsweringModel;

use crate::exit::{Code, Failure};

/// Models behind Opik's proxy: each caller's questions go with that caller's session.
#[derive(Debug)]
struct Proxied {
    opik: OpikProxy,
    name: String,
}

impl AnsweringModel for Proxied {
    fn model(&self, token: Option<&Secret>, workspace: Option<&str>) -> Option<Arc<dyn ChatModel>> {
        let mut caller = Caller::default();
        if let Some(token) = token {
            caller = caller.session_token(token.clone());
        }
        if let Some(workspace) = workspace {
            caller = caller.workspace(workspace);
        }
        // A session that no header can carry is nobody's: the answer is computed.
        let model = self.opik.model(&self.name, &caller).ok()?;
        Some(Arc::new(model))
    }

    fn name(&self) -> Option<String> {
        Some(self.name.clone())
    }
}

/// One model for everybody, or none.
struct Shared(Option<Arc<dyn ChatModel>>);

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shared").field(&self.name()).finish()
    }
}

impl AnsweringModel for Shared {
    fn model(&self, _: Option<&Secret>, _: Option<&str>) -> Option<Arc<dyn ChatModel>> {
        self.0.clone()
    }

    fn name(&self) -> Option<String> {
        self.0.as_ref().map(|model| model.name().to_owned())
    }
}

fn unusable(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::new(Code::Usage, "AGENT_MODEL cannot be used")
        .cause(error)
        .hint("AGENT_MODEL=none computes all answers")
}

/// The model that `AGENT_MODEL` names: through Opik where there is one, except for models of this
/// machine. `is_chosen` tells whether somebody wrote the name down; one that nobody did may be missing.
pub(super) fn answering(
    variables: impl Fn(&str) -> Option<String>,
    opik: Option<&str>,
    name: Option<&str>,
    is_chosen: bool,
) -> Result<Arc<dyn AnsweringModel>, Failure> {
    let Some(name) = name else {
        return Ok(Arc::new(Shared(None)));
    };
    let is_local = ["ollama/", "vllm/"].iter().any(|own| name.starts_with(own));
    let settings = ModelSettings::from_env(variables);
    let models = Models::new(match opik {
        Some(url) => settings.opik_url(url),
        None => settings,
    })
    .map_err(unusable)?;
    if let (Some(opik), false) = (models.opik(), is_local) {
        return Ok(Arc::new(Proxied {
            // Refusals are remembered.
            opik: opik.clone().usage(true),
            name: name.to_owned(),
        }));
    }
    match models.model(name) {
        Ok(model) => Ok(Arc::new(Shared(Some(model)))),
        Err(error) if is_chosen => Err(unusable(error)),
        Err(_) => Ok(Arc::new(Shared(None))),
    }
}
