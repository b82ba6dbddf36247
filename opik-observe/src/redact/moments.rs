//! Moments as JSON.

use opik_core::Timestamp;

use super::json::push_text;

/// A moment in quotes: `"2026-01-31T09:59:59.000001Z"`.
type Text = [u8; 29];

const SECOND: i64 = 1_000_000;

/// Writes moments, each as [`Timestamp`] prints it.
///
/// The moments of a batch lie close together: most of them share their second with the one before, and
/// then only the fraction differs.
#[derive(Debug)]
pub(crate) struct Moments {
    /// The second of the last moment, since 1970, and that moment.
    second: i64,
    text: Text,
}

impl Default for Moments {
    fn default() -> Self {
        Self {
            second: 0,
            text: *b"\"1970-01-01T00:00:00.000000Z\"",
        }
    }
}

impl Moments {
    /// A moment in quotes.
    pub(super) fn push(&mut self, out: &mut Vec<u8>, at: Timestamp) {
        let second = at.as_micros().div_euclid(SECOND);
        if second != self.second {
            let Some(text) = whole_second(second) else {
                return push_text(out, &at.to_string());
            };
            (self.second, self.text) = (second, text);
        }
        let micros = at.as_micros().rem_euclid(SECOND).unsigned_abs();
        self.text[21..23].copy_from_slice(&two(micros / 10_000));
        self.text[23..25].copy_from_slice(&two(micros / 100 % 100));
        self.text[25..27].copy_from_slice(&two(micros % 100));
        out.extend_from_slice(&self.text);
    }
}

/// The beginning of a second since 1970; `None` where four digits of a year end, and beyond.
fn whole_second(second: i64) -> Option<Text> {
    const DAY: i64 = 86_400;
    let [year, month, date] = civil(second.div_euclid(DAY))?;
    let of_day = second.rem_euclid(DAY).unsigned_abs();
    let mut text = *b"\"0000-00-00T00:00:00.000000Z\"";
    text[1..3].copy_from_slice(&two(year / 100));
    text[3..5].copy_from_slice(&two(year % 100));
    text[6..8].copy_from_slice(&two(month));
    text[9..11].copy_from_slice(&two(date));
    text[12..14].copy_from_slice(&two(of_day / 3_600));
    text[15..17].copy_from_slice(&two(of_day / 60 % 60));
    text[18..20].copy_from_slice(&two(of_day % 60));
    Some(text)
}

/// A number below a hundred.
fn two(number: u64) -> [u8; 2] {
    let number = u8::try_from(number).unwrap_or_default();
    [b'0' + number / 10, b'0' + number % 10]
}

/// Year, month and day of the month of a day since 1970-01-01; `None` outside of the years 0 to
/// 9998. Years are taken to begin in March, so that the day that comes and goes is the last.
fn civil(day: i64) -> Option<[u64; 3]> {
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
    let unsigned = |number: i64| number.unsigned_abs();
    let four_digits = (0..9_999).contains(&year);
    four_digits.then_some([unsigned(year), unsigned(month), unsigned(date)])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is written for some moments, one after the other.
    fn written(moments: &[Timestamp]) -> Vec<String> {
        let mut of_batch = Moments::default();
        let one = |at: &Timestamp| {
            let mut out = Vec::new();
            of_batch.push(&mut out, *at);
            String::from_utf8(out).unwrap()
        };
        moments.iter().map(one).collect()
    }

    fn printed(moments: &[Timestamp]) -> Vec<String> {
        moments.iter().map(|at| format!("\"{at}\"")).collect()
    }

    #[test]
    fn moments_are_right_at_the_edges() {
        let edges = [
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
        ];
        let moments = edges.map(Timestamp::from_micros);
        assert_eq!(written(&moments), printed(&moments));
    }

    proptest! {
        #[test]
        fn moments_are_written_as_they_are_printed(
            micros in -62_167_219_200_000_000_i64..253_402_300_800_000_000,
            steps in proptest::collection::vec(-1_500_000_i64..1_500_000, 0..8),
        ) {
            let mut at = Timestamp::from_micros(micros);
            let mut moments = vec![at];
            for step in steps {
                at = at.plus_micros(step);
                moments.push(at);
            }
            prop_assert_eq!(written(&moments), printed(&moments));
        }
    }
}
