use std::error::Error as _;

use serde_json::json;

use super::*;

fn about() -> About {
    About {
        model: "openai/m".into(),
        secrets: [Secret::new("hunter22")].into(),
    }
}

fn told(failure: Failure) -> (ModelErrorKind, String, String) {
    let error = failure.into_error(&about());
    let words = error.source().map(ToString::to_string);
    (error.kind(), error.to_string(), words.unwrap_or_default())
}

#[test]
fn every_shape_is_understood_with_a_status() {
    use ModelErrorKind as Kind;
    for (status, body, kind, what, words) in [
        (
            401,
            r#"{"error":{"message":"no hunter22","type":"invalid_request_error","code":"invalid_api_key"}}"#,
            Kind::Unauthorized,
            "status 401 (invalid_api_key)",
            "no ***",
        ),
        (
            429,
            r#"{"error":{"message":"slow","type":"rate_limit_error"}}"#,
            Kind::RateLimited,
            "status 429 (rate_limit_error)",
            "slow",
        ),
        (
            429,
            r#"{"error":{"message":"pay","code":"insufficient_quota"}}"#,
            Kind::Unauthorized,
            "status 429 (insufficient_quota)",
            "pay",
        ),
        (
            500,
            "<html><h1>hunter22</h1></html>",
            Kind::Unavailable,
            "status 500",
            "",
        ),
        (
            503,
            "upstream gone",
            Kind::Unavailable,
            "status 503",
            "upstream gone",
        ),
        (
            400,
            r#"{"detail":[{"loc":["body"]}]}"#,
            Kind::InvalidRequest,
            "status 400",
            "",
        ),
        (
            404,
            r#"{"detail":"Not Found"}"#,
            Kind::InvalidRequest,
            "status 404",
            "Not Found",
        ),
        (
            400,
            r#"{"error":"hunter22 is too short"}"#,
            Kind::InvalidRequest,
            "status 400",
            "*** is too short",
        ),
        (
            400,
            r#"{"error":{"message":"x","code":"hunter22"}}"#,
            Kind::InvalidRequest,
            "status 400 (***)",
            "x",
        ),
        (
            400,
            r#"{"error":{"message":"This model's maximum context length is 9","code":400}}"#,
            Kind::ContextTooLong,
            "status 400",
            "This model's maximum context length is 9",
        ),
        (
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 9 tokens"}}"#,
            Kind::ContextTooLong,
            "status 400 (invalid_request_error)",
            "prompt is too long: 9 tokens",
        ),
        (
            529,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            Kind::Unavailable,
            "status 529 (overloaded_error)",
            "Overloaded",
        ),
        (
            400,
            r#"[{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT"}}]"#,
            Kind::Unauthorized,
            "status 400 (INVALID_ARGUMENT)",
            "API key not valid.",
        ),
        (
            402,
            r#"{"code":402,"message":"no credit"}"#,
            Kind::Unauthorized,
            "status 402",
            "no credit",
        ),
        (
            400,
            r#"{"errors":["a","b"]}"#,
            Kind::InvalidRequest,
            "status 400",
            "a; b",
        ),
        (
            302,
            "",
            Kind::InvalidRequest,
            "status 302, a redirection; check the base URL",
            "",
        ),
        (504, "", Kind::Timeout, "status 504", ""),
    ] {
        let expected = (kind, format!("openai/m: {what}"), words.to_owned());
        assert_eq!(
            told(Failure::of_status(status, body.as_bytes())),
            expected,
            "{body}"
        );
    }
}

#[test]
fn failures_inside_a_reply_are_found_and_replies_are_not_taken_for_them() {
    use ModelErrorKind as Kind;
    for (value, kind) in [
        (json!({"code": 500, "message": "x"}), Kind::Unavailable),
        (json!({"code": "429", "message": "x"}), Kind::RateLimited),
        (
            json!({"error": {"message": "x", "type": "server_error", "code": "429"}}),
            Kind::RateLimited,
        ),
        (
            json!({"error": {"message": "x", "type": "authentication_error"}}),
            Kind::Unauthorized,
        ),
        (
            json!({"error": {"message": "x"}, "choices": []}),
            Kind::Unavailable,
        ),
        (
            json!({"error": {"type": "overloaded_error"}}),
            Kind::Unavailable,
        ),
        (
            json!({"error": {"status": "RESOURCE_EXHAUSTED"}}),
            Kind::RateLimited,
        ),
        (json!({"error": "broken"}), Kind::Unavailable),
        (
            json!({"object": "error", "message": "x", "type": "BadRequestError"}),
            Kind::InvalidRequest,
        ),
    ] {
        assert_eq!(
            Failure::in_reply(&value, false).unwrap().kind,
            kind,
            "{value}"
        );
    }
    for value in [
        json!({"choices": [], "error": null}),
        json!({"message": "x"}),
        json!({"type": "ping"}),
        json!({"candidates": [], "code": 3, "message": "x"}),
        json!([]),
        json!(1),
    ] {
        assert!(Failure::in_reply(&value, false).is_none(), "{value}");
    }
    let named = Failure::in_reply(&json!({"x": 1}), true).unwrap();
    assert_eq!(named.kind, Kind::Unavailable);
}

#[test]
fn google_says_in_the_body_how_long_to_wait() {
    let body = json!({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [{"retryDelay": "1.5s"}]}});
    let error = Failure::of_status(429, body.to_string().as_bytes()).into_error(&about());
    assert_eq!(error.retry_after(), Some(Duration::from_millis(1_500)));
}
