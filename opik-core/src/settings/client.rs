//! The client that settings describe.

use super::OpikSettings;
use crate::rest::{ClientError, OpikClient, OpikClientBuilder};

impl OpikSettings {
    /// The settings of a client for the server, whether records are sent there or not. Nothing
    /// when no server is known.
    ///
    /// ```
    /// use opik_core::settings::OpikSettings;
    ///
    /// let nothing = |_: &str| None;
    /// let settings = OpikSettings::builder().base_url("http://localhost:5173/api").load_from(&nothing);
    /// if let Some(builder) = settings.client_builder() {
    ///     let client = builder.build()?;
    ///     assert_eq!(client.base_url().as_str(), "http://localhost:5173/api/");
    /// }
    /// # Ok::<(), opik_core::rest::ClientError>(())
    /// ```
    #[must_use]
    pub fn client_builder(&self) -> Option<OpikClientBuilder> {
        let mut builder = OpikClient::builder(self.base_url()?)
            .workspace(self.workspace())
            .project_name(self.project_name())
            .timeout(self.timeout())
            .connect_timeout(self.timeout())
            .compression(self.compression())
            .verify_tls(self.check_tls());
        if let Some(key) = self.api_key() {
            builder = builder.api_key(key.clone());
        }
        Some(builder)
    }

    /// A client for the server, if one is known.
    ///
    /// # Errors
    /// [`ClientError`] when the address has a form that only a URL parser sees through, or the
    /// system has no certificates.
    pub fn client(&self) -> Result<Option<OpikClient>, ClientError> {
        self.client_builder()
            .map(OpikClientBuilder::build)
            .transpose()
    }
}
