//! The variables of the assistant, as `opik-rs serve --help` tells them.

/// Name, default and meaning, as in the guide.
pub(super) const VARIABLES: &str = "\
Variables of the assistant (the environment, else a file .env; [default]):
  AGENT_OPIK_URL               Opik whose traces are spoken about [the store's]
  AGENT_MODEL                  model, or none [openai/gpt-4.1]
  AGENT_REASONING_EFFORT       low, medium or high [the provider's]
  HOST, PORT                   where it listens [0.0.0.0 and 8081 beside Opik]
  URL_PREFIX                   path before all routes [none]
  ALLOWED_ORIGINS              JSON list, comma list or * [four of Opik's]
  SESSION_SERVICE_URI          database of conversations [memory beside Opik,
                               else a file beside the store]
  SESSION_SERVICE_MAX_RETRIES  attempts to reach it [10]
  SESSION_SERVICE_RETRY_DELAY  seconds before the second one [2]
  SESSION_POOL_RECYCLE         seconds that a connection is used [3600]
  OPIK_BACKEND_TIMEOUT         seconds for one call to Opik [30]
  RETRY_STATUSES               repeated statuses of reads [502, 503, 504]
  RETRY_MAX_ATTEMPTS           attempts in all [3]
  RETRY_BACKOFF_FACTOR         seconds before the second one [0.5]
  ASSIST_KEEP_DAYS             days that a conversation is kept [for ever]
  ASSIST_USER_HEADER           header of a sign-in that names users [none]
  ASSIST_GRACE_SECONDS         a turn without listeners goes on for [30]
  ASSIST_HEARTBEAT_SECONDS     silence before a comment is sent [15]
  ASSIST_CONTEXT_TOKENS        evidence that the model is given [8000]
  ASSIST_TURNS_PER_MINUTE      questions of one user [60]
  ASSIST_MAX_TURNS             turns at once [1024]
  OPIK_SERVER_LOG              off, error, warn, info or debug [info]

Its monitoring (all off by default):
  SENTRY_DSN                   failures and turns, without words and users
  SENTRY_ENVIRONMENT           [development]
  SENTRY_TRACES_SAMPLE_RATE    share of the turns [1]
  SENTRY_PROFILES_SAMPLE_RATE  checked, without meaning [1]
  SENTRY_SEND_DEFAULT_PII      whether users are named [false]
  SEGMENT_WRITE_KEY            three events about conversations
  SEGMENT_ENVIRONMENT          [development]
  SEGMENT_HOST                 [https://api.segment.io]
  NEW_RELIC_LICENSE_KEY        turns as traces
  NEW_RELIC_OTLP_ENDPOINT      [by the key]
  OTEL_EXPORTER_OTLP_ENDPOINT  turns as traces, OTLP over HTTP in JSON
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT
                               the same, with the path
  OTEL_EXPORTER_OTLP_HEADERS   name=value,name=value
  OTEL_SERVICE_NAME            [opik-assist]
  OPIK_INTERNAL_URL            Opik that the turns are recorded to
  OPIK_INTERNAL_API_KEY        key for it
  OPIK_INTERNAL_WORKSPACE      [default]
  OPIK_INTERNAL_PROJECT        [opik-assist]
  ASSIST_RECORD_CONTENT        whether words are recorded there [false]

A value that cannot be used stops the start with a line that names it.";
