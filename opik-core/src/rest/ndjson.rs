//! Streams of Opik: one JSON object on each line.
//!
//! Lines end with CR LF, the last one too; LF alone is accepted. A stream begins with status 200
//! and can still fail: then its last line is an error (`code` and `message`) in place of a record.

use super::error::ErrorBody;

/// The lines that are not blank.
pub(super) fn lines(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    body.split(|&byte| byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
}

/// The error that ends a stream, if one does.
pub(super) fn error_line(body: &[u8]) -> Option<ErrorBody> {
    let last = lines(body).last()?;
    // Records have an identifier; a record with fields of these names is no error.
    #[derive(serde::Deserialize)]
    struct Mark {
        id: Option<serde::de::IgnoredAny>,
        code: Option<u16>,
        message: Option<serde::de::IgnoredAny>,
        errors: Option<serde::de::IgnoredAny>,
    }
    let mark: Mark = serde_json::from_slice(last).ok()?;
    let is_error = (mark.code.is_some() && mark.message.is_some()) || mark.errors.is_some();
    (mark.id.is_none() && is_error).then(|| ErrorBody::parse(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_with_either_ending() {
        let body = b"{\"id\":1}\r\n{\"id\":2}\n\r\n{\"id\":3}";
        let all: Vec<_> = lines(body).collect();
        assert_eq!(all, [&b"{\"id\":1}"[..], b"{\"id\":2}", b"{\"id\":3}"]);
        assert_eq!(lines(b"").count(), 0);
    }

    #[test]
    fn an_error_at_the_end_is_found_and_records_are_not_mistaken_for_one() {
        let body =
            b"{\"id\":1}\r\n{\"code\":500,\"message\":\"Streaming operation timed out\"}\r\n";
        let error = error_line(body).unwrap();
        assert_eq!(
            error.messages().collect::<Vec<_>>(),
            ["Streaming operation timed out"]
        );
        assert!(error_line(b"{\"errors\":[\"x\"]}\r\n").is_some());
        for records in [
            &b"{\"id\":\"a\",\"code\":500,\"message\":\"m\"}\r\n"[..],
            b"{\"id\":\"a\"}\r\n",
            b"[1]",
            b"",
        ] {
            assert!(error_line(records).is_none());
        }
    }
}
