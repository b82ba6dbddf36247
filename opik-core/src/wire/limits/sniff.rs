//! What a file is, by how it begins: the types that Opik's official clients know.

/// Type and extension; `None` for what the official clients leave in its place.
pub(super) fn mime_type(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    let at = |start: usize, magic: &[u8]| bytes.get(start..start + magic.len()) == Some(magic);
    if at(0, b"\x89PNG\r\n\x1a\n") {
        return Some(("image/png", "png"));
    }
    // A picture that was cut off is none: the page could not show it.
    if at(0, b"\xff\xd8\xff") && bytes.ends_with(b"\xff\xd9") {
        return Some(("image/jpeg", "jpg"));
    }
    if at(0, b"GIF87a") || at(0, b"GIF89a") {
        return Some(("image/gif", "gif"));
    }
    if at(0, b"RIFF") && at(8, b"WEBP") {
        return Some(("image/webp", "webp"));
    }
    if at(0, b"%PDF") {
        return Some(("application/pdf", "pdf"));
    }
    let head = bytes.get(..1_024).unwrap_or(bytes);
    if head
        .windows(4)
        .any(|window| window.eq_ignore_ascii_case(b"<svg"))
    {
        return Some(("image/svg+xml", "svg"));
    }
    if at(4, b"ftyp") {
        return Some(("video/mp4", "mp4"));
    }
    let head = std::str::from_utf8(bytes.get(..100).unwrap_or(bytes)).ok()?;
    let json = head.trim_start().starts_with(['{', '[']);
    json.then_some(("application/json", "json"))
}
