//! Chat models over HTTP: OpenAI-compatible servers, Opik's proxy, Anthropic and Google.
