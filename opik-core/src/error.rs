//! The shape that the errors of all provider traits share.

/// Declares the error of a provider trait: a kind, what was being done, how long to wait, a cause.
macro_rules! provider_error {
    (
        $(#[$doc:meta])* $name:ident,
        $(#[$kdoc:meta])* $kind:ident { $($(#[$vdoc:meta])* $variant:ident),+ $(,)? },
        retryable: $($retry:ident)|+
    ) => {
        $(#[$kdoc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $kind {
            $($(#[$vdoc])* $variant,)+
        }

        $(#[$doc])*
        ///
        /// Its text says what was being done and names kinds, identifiers, sizes and status codes;
        /// never content, never a key. It does not repeat its source.
        #[derive(Debug)]
        pub struct $name {
            kind: $kind,
            context: String,
            retry_after: Option<std::time::Duration>,
            source: Option<Box<dyn std::error::Error + Send + Sync>>,
        }

        impl $name {
            /// An error with a kind and what was being done, for example
            /// `POST /traces/batch: status 503`.
            #[must_use]
            pub fn new(kind: $kind, context: impl Into<String>) -> Self {
                Self { kind, context: context.into(), retry_after: None, source: None }
            }

            /// Adds the cause.
            #[must_use]
            pub fn with_source(
                mut self,
                source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
            ) -> Self {
                self.source = Some(source.into());
                self
            }

            /// Adds how long the other side asks to wait.
            #[must_use]
            pub fn with_retry_after(mut self, wait: std::time::Duration) -> Self {
                self.retry_after = Some(wait);
                self
            }

            /// What kind of failure it is.
            #[must_use]
            pub fn kind(&self) -> $kind {
                self.kind
            }

            /// Whether the same call may succeed later.
            #[must_use]
            pub fn is_retryable(&self) -> bool {
                matches!(self.kind, $($kind::$retry)|+)
            }

            /// How long the other side asks to wait.
            #[must_use]
            pub fn retry_after(&self) -> Option<std::time::Duration> {
                self.retry_after
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.context)
            }
        }

        impl std::error::Error for $name {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                self.source.as_deref().map(|source| source as _)
            }
        }
    };
}
pub(crate) use provider_error;
