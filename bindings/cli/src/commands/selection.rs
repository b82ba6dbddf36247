//! The options that choose traces, shared by the commands that take many.

use opik_core::Timestamp;
use opik_core::query::{
    Direction, Entity, Field, Filter, Operator, ProjectSelector, Sort, TraceQuery, oql,
};

use crate::exit::{Code, Failure};
use crate::render::text::wrap;

/// Which traces.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Selection {
    /// Conditions in Opik's query language, joined by AND
    #[arg(long, short = 'f', value_name = "OQL")]
    pub(crate) filter: Option<String>,

    /// Only traces of this project
    #[arg(long, short = 'p', value_name = "NAME")]
    pub(crate) project: Option<String>,

    /// Only traces with all these words in the trace or in one span: in the name, input, output
    /// or metadata, or in the type of an error (not in its message)
    #[arg(long, short = 't', value_name = "WORDS")]
    pub(crate) text: Option<String>,

    /// Only traces with an error
    #[arg(long, short = 'e')]
    pub(crate) error: bool,

    /// Only traces since then: an age (30m, 12h, 7d) or a date
    #[arg(long, value_name = "WHEN", value_parser = parse_since)]
    pub(crate) since: Option<Since>,
}

/// A moment, or an age that becomes one when the command runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    /// This moment.
    At(Timestamp),
    /// This many microseconds ago.
    Ago(i64),
}

impl Since {
    fn moment(self) -> Timestamp {
        match self {
            Self::At(moment) => moment,
            Self::Ago(micros) => Timestamp::now().plus_micros(micros.saturating_neg()),
        }
    }
}

impl Selection {
    /// Whether no option was given.
    pub(crate) fn is_empty(&self) -> bool {
        self.filter.is_none()
            && self.project.is_none()
            && self.text.is_none()
            && self.since.is_none()
            && !self.error
    }

    /// The search that it stands for, without content, in the default order.
    pub(crate) fn query(&self) -> Result<TraceQuery, Failure> {
        let mut query = TraceQuery::default();
        query.without_content = true;
        if let Some(text) = &self.filter {
            query.filters = oql::parse(Entity::Trace, text).map_err(|error| {
                let hint = unknown_field(&error.to_string()).map_or_else(
                    || "--filter 'duration > 1000 AND name contains \"agent\"'".to_owned(),
                    |name| format!("the nearest fields are {}", nearest(name).join(", ")),
                );
                Failure::new(Code::Usage, "the filter cannot be read")
                    .cause(error)
                    .hint(hint)
            })?;
        }
        if self.error {
            let failed = Filter::new(Entity::Trace, "error_info", Operator::IsNotEmpty, None, "");
            query.filters.push(failed.map_err(|error| {
                Failure::new(Code::Failed, "cannot filter by error").cause(error)
            })?);
        }
        if let Some(name) = &self.project {
            query.project = ProjectSelector::Name(name.clone());
        }
        query.text = self.text.clone().filter(|text| !text.trim().is_empty());
        query.from = self.since.map(Since::moment);
        Ok(query)
    }
}

/// An order as it is written: `duration`, `duration:asc`.
pub(crate) fn parse_sort(text: &str) -> Result<Sort, String> {
    let (name, direction) = match text.rsplit_once(':') {
        Some((name, "asc")) => (name, Direction::Ascending),
        Some((name, "desc")) => (name, Direction::Descending),
        Some((_, other)) => return Err(format!("`{other}` is neither asc nor desc")),
        None => (text, Direction::Descending),
    };
    Sort::by(Entity::Trace, name, direction).ok_or_else(|| {
        let names: Vec<&str> = Field::all(Entity::Trace).map(Field::name).collect();
        let names = wrap(&format!("Fields are {}", names.join(", ")), 78);
        format!(
            "not a field to sort by; the nearest are {}\n\n{}",
            nearest(name).join(", "),
            names.trim_end()
        )
    })
}

/// The name in a message about an unknown field.
fn unknown_field(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("unknown field '")?;
    rest.split_once('\'').map(|(name, _)| name)
}

/// The three fields whose names are most like this one.
fn nearest(name: &str) -> Vec<&'static str> {
    let name = name.to_ascii_lowercase();
    let mut names: Vec<&str> = Field::all(Entity::Trace).map(Field::name).collect();
    names.sort_by_key(|known| {
        let part = known.contains(&name) || name.contains(known);
        (!part, distance(&name, known))
    });
    names.truncate(3);
    names
}

/// How many characters must be changed to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (at, left) in a.chars().enumerate() {
        let mut before = at + 1;
        let mut next = vec![before];
        for (right, pair) in b.chars().zip(row.windows(2)) {
            let &[diagonal, above] = pair else { continue };
            before = (diagonal + usize::from(left != right))
                .min(above + 1)
                .min(before + 1);
            next.push(before);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

/// `90s`, `30m`, `12h`, `7d`, `2w`, a date, or a date with time.
fn parse_since(text: &str) -> Result<Since, String> {
    let text = text.trim();
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(Since::At(at));
    }
    if let Ok(at) = format!("{text}T00:00:00Z").parse::<Timestamp>() {
        return Ok(Since::At(at));
    }
    let unit = text.chars().last().and_then(|unit| match unit {
        's' => Some(1),
        'm' => Some(60),
        'h' => Some(3_600),
        'd' => Some(86_400),
        'w' => Some(7 * 86_400),
        _ => None,
    });
    let digits = text.get(..text.len().saturating_sub(1)).unwrap_or_default();
    match (unit, digits.parse::<u32>()) {
        (Some(seconds), Ok(n)) => Ok(Since::Ago(i64::from(n) * seconds * 1_000_000)),
        _ => Err("give an age such as 30m, 12h or 7d, or a date such as 2026-01-31".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_dates_are_read() {
        assert_eq!(parse_since("90s"), Ok(Since::Ago(90_000_000)));
        assert_eq!(parse_since("7d"), Ok(Since::Ago(604_800_000_000)));
        let day = "2026-01-31T00:00:00Z".parse().unwrap();
        assert_eq!(parse_since("2026-01-31"), Ok(Since::At(day)));
        assert_eq!(parse_since("2026-01-31T00:00:00Z"), Ok(Since::At(day)));
        for wrong in ["", "d", "yesterday", "-3d", "3.5h", "99999999999d", "é"] {
            assert!(parse_since(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn orders_name_a_field_and_a_direction() {
        let sort = parse_sort("duration").unwrap();
        assert_eq!(sort.direction(), Direction::Descending);
        let sort = parse_sort("start_time:asc").unwrap();
        assert_eq!(sort.direction(), Direction::Ascending);
        assert!(parse_sort("size").unwrap_err().contains("duration"));
        assert!(parse_sort("duration:up").unwrap_err().contains("asc"));
    }

    #[test]
    fn fields_like_a_misspelt_one_are_named_first() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(nearest("duraton").first(), Some(&"duration"));
        assert_eq!(nearest("cost").first(), Some(&"total_estimated_cost"));
        let selection = Selection {
            filter: Some("nam = \"a\"".to_owned()),
            ..Selection::default()
        };
        let failure = selection.query().unwrap_err();
        assert!(failure.next_step().unwrap().contains("name"));
    }

    #[test]
    fn a_wrong_filter_is_a_usage_error_with_the_place() {
        let selection = Selection {
            filter: Some("duration >> 3".to_owned()),
            ..Selection::default()
        };
        let failure = selection.query().unwrap_err();
        assert_eq!(failure.code(), Code::Usage);
        assert!(failure.causes().concat().contains("at character"));
    }
}
