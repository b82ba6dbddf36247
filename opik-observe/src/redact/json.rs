//! Writing JSON straight into a row.
//!
//! The texts are those that `serde_json` writes for the same values. It stays in charge of numbers
//! with a point; for texts, identifiers and times these functions cost a fraction of it, and that is
//! most of what a row costs.

use opik_core::Timestamp;

const ONES: u64 = u64::MAX / 255;
const HIGH: u64 = ONES * 0x80;

/// How many bytes at the beginning a JSON string holds as they are: up to the first quote,
/// backslash or control character.
pub(super) fn plain_prefix(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // The lowest byte that is flagged is a true one: borrows only go upwards.
        let zero = |word: u64| word.wrapping_sub(ONES) & !word;
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let quote = zero(word ^ (ONES * u64::from(b'"')));
        let backslash = zero(word ^ (ONES * u64::from(b'\\')));
        let special = (control | quote | backslash) & HIGH;
        if special != 0 {
            return index * 8 + (special.trailing_zeros() / 8) as usize;
        }
    }
    let plain = |byte: &u8| *byte >= 0x20 && *byte != b'"' && *byte != b'\\';
    let tail = rest.iter().position(|byte| !plain(byte));
    bytes.len() - rest.len() + tail.unwrap_or(rest.len())
}

/// A text in quotes.
pub(super) fn push_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    push_escaped(out, text);
    out.push(b'"');
}

/// A text as it stands between the quotes.
pub(super) fn push_escaped(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    loop {
        let (plain, special) = rest.split_at(plain_prefix(rest));
        out.extend_from_slice(plain);
        let Some((byte, after)) = special.split_first() else {
            return;
        };
        rest = after;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            8 => out.extend_from_slice(b"\\b"),
            12 => out.extend_from_slice(b"\\f"),
            control => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&hex(*control));
            }
        }
    }
}

fn hex(byte: u8) -> [u8; 2] {
    let digit = |value: u8| {
        if value < 10 {
            b'0' + value
        } else {
            b'a' + value - 10
        }
    };
    [digit(byte >> 4), digit(byte & 15)]
}

/// An identifier in quotes, in lower case with hyphens.
pub(super) fn push_id(out: &mut Vec<u8>, id: &[u8; 16]) {
    let mut text = [b'-'; 38];
    let mut places = text.iter_mut();
    let mut put = |byte: u8| {
        if let Some(place) = places.next() {
            *place = byte;
        }
    };
    put(b'"');
    for (index, byte) in id.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            put(b'-');
        }
        let [high, low] = hex(*byte);
        put(high);
        put(low);
    }
    put(b'"');
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

/// A moment in quotes, as [`Timestamp`] prints it.
pub(super) fn push_time(out: &mut Vec<u8>, at: Timestamp) {
    const DAY: i64 = 86_400_000_000;
    let (day, micros) = (
        at.as_micros().div_euclid(DAY),
        at.as_micros().rem_euclid(DAY),
    );
    let Some([year, month, date]) = civil(day) else {
        // Where four digits end, and whatever is beyond.
        return push_text(out, &at.to_string());
    };
    let mut text = *b"\"0000-00-00T00:00:00.000000Z\"";
    let second = micros / 1_000_000;
    for (end, width, value) in [
        (5, 4, year),
        (8, 2, month),
        (11, 2, date),
        (14, 2, second / 3_600),
        (17, 2, second / 60 % 60),
        (20, 2, second % 60),
        (27, 6, micros % 1_000_000),
    ] {
        let mut left = value.unsigned_abs();
        for place in text.iter_mut().take(end).rev().take(width) {
            *place = digit(left % 10);
            left /= 10;
        }
    }
    out.extend_from_slice(&text);
}

/// Year, month and day of the month of a day since 1970-01-01; `None` outside of the years 0 to
/// 9998. Years are taken to begin in March, so that the day that comes and goes is the last.
fn civil(day: i64) -> Option<[i64; 3]> {
    let since = day + 719_468;
    let era = since.div_euclid(146_097);
    let of_era = since.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let date = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (0..9_999).contains(&year).then_some([year, month, date])
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

    #[test]
    fn times_are_right_at_the_edges() {
        for micros in [
            0,
            -1,
            951_782_400_000_000,
            4_107_542_399_999_999,
            253_370_764_799_999_999,
            253_370_764_800_000_000,
            253_402_300_800_000_000,
            -62_167_219_200_000_000,
            -62_167_219_200_000_001,
            i64::MAX,
            i64::MIN,
        ] {
            let at = Timestamp::from_micros(micros);
            assert_eq!(written(|out| push_time(out, at)), format!("\"{at}\""));
        }
    }

    proptest! {
        #[test]
        fn values_are_written_as_serde_writes_them(
            text in any::<String>(),
            mixed in r#"[a"\\\n\u{1}\u{1f}é]{0,40}"#,
            id in any::<[u8; 16]>(),
            number in any::<i64>(),
            small in -1_000_i64..1_000,
            micros in -62_167_219_200_000_000_i64..253_402_300_800_000_000,
        ) {
            for text in [text, mixed] {
                prop_assert_eq!(
                    written(|out| push_text(out, &text)), serde_json::to_string(&text).unwrap());
            }
            let span = SpanId::from_bytes(id);
            prop_assert_eq!(written(|out| push_id(out, &id)), format!("\"{span}\""));
            for number in [number, small] {
                prop_assert_eq!(written(|out| push_int(out, number)), number.to_string());
            }
            let at = Timestamp::from_micros(micros);
            prop_assert_eq!(written(|out| push_time(out, at)), format!("\"{at}\""));
        }
    }
}
