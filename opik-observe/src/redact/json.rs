//! Writing JSON straight into a row.
//!
//! The texts are those that `serde_json` writes for the same values. It stays in charge of numbers
//! with a point; for texts and identifiers these functions cost a fraction of it, and that is
//! most of what a row costs.

use opik_core::json::escape::escaped_parts;

const ONES: u64 = u64::MAX / 255;

/// A text in quotes.
pub(crate) fn push_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    push_escaped(out, text);
    out.push(b'"');
}

/// A text as it stands between the quotes.
#[inline]
pub(super) fn push_escaped(out: &mut Vec<u8>, text: &str) {
    escaped_parts(text, |part| out.extend_from_slice(part.as_bytes()));
}

/// The two digits of a byte.
pub(crate) fn hex_byte(byte: u8) -> [u8; 2] {
    let digit = |half: u8| half + if half < 10 { b'0' } else { b'a' - 10 };
    [digit(byte >> 4), digit(byte & 15)]
}

/// The eight digits of a number, all at once: each of its halves of bytes goes into a byte of its own.
fn hex8(number: u32) -> [u8; 8] {
    let spread = u64::from(number);
    let spread = (spread << 16 | spread) & 0x0000_ffff_0000_ffff;
    let spread = (spread << 8 | spread) & 0x00ff_00ff_00ff_00ff;
    let spread = (spread << 4 | spread) & (ONES * 0x0f);
    let letters = (spread + ONES * 6) >> 4 & ONES;
    (spread + ONES * u64::from(b'0') + letters * u64::from(b'a' - b'9' - 1)).to_be_bytes()
}

/// An identifier in quotes, in lower case with hyphens.
pub(super) fn push_id(out: &mut Vec<u8>, id: &[u8; 16]) {
    let id = u128::from_be_bytes(*id);
    let word = |shift: u32| hex8(u32::try_from(id >> shift & 0xffff_ffff).unwrap_or(0));
    let [b0, b1, b2, b3, b4, b5, b6, b7] = word(64);
    let [a0, a1, a2, a3, a4, a5, a6, a7] = word(32);
    let mut text = *b"\"00000000-0000-0000-0000-000000000000\"";
    text[1..9].copy_from_slice(&word(96));
    text[10..14].copy_from_slice(&[b0, b1, b2, b3]);
    text[15..19].copy_from_slice(&[b4, b5, b6, b7]);
    text[20..24].copy_from_slice(&[a0, a1, a2, a3]);
    text[25..29].copy_from_slice(&[a4, a5, a6, a7]);
    text[29..37].copy_from_slice(&word(0));
    out.extend_from_slice(&text);
}

/// A whole number.
pub(super) fn push_int(out: &mut Vec<u8>, number: i64) {
    let mut digits = [0; 20];
    let mut left = number.unsigned_abs();
    let mut length = 0;
    for place in digits.iter_mut().rev() {
        *place = digit(left % 10);
        left /= 10;
        length += 1;
        if left == 0 {
            break;
        }
    }
    if number < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(digits.get(digits.len() - length..).unwrap_or_default());
}

fn digit(value: u64) -> u8 {
    b'0' + u8::try_from(value).unwrap_or(0)
}

/// A number; `null` where it is none.
pub(super) fn push_float(out: &mut Vec<u8>, number: f64) {
    // Writing to a `Vec` does not fail.
    serde_json::to_writer(out, &number).ok();
}

#[cfg(test)]
mod tests {
    use opik_core::SpanId;
    use proptest::prelude::*;

    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #[test]
        fn values_are_written_as_serde_writes_them(
            text in any::<String>(),
            mixed in r#"[a"\\\n\u{1}\u{1f}é]{0,40}"#,
            long in r#"[a-zé ]{0,150}["\n\u{1f} ][a-z]{0,90}\\[a-z]{0,70}"#,
            id in any::<[u8; 16]>(),
            number in any::<i64>(),
            small in -1_000_i64..1_000,
        ) {
            for text in [text, mixed, long] {
                prop_assert_eq!(
                    written(|out| push_text(out, &text)), serde_json::to_string(&text).unwrap());
            }
            let span = SpanId::from_bytes(id);
            prop_assert_eq!(written(|out| push_id(out, &id)), format!("\"{span}\""));
            for number in [number, small] {
                prop_assert_eq!(written(|out| push_int(out, number)), number.to_string());
            }
        }
    }
}
