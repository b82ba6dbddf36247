//! What `opik-rs doctor` says about the spool: what waits, for whom, and whether it can be written.

use std::io;
use std::path::Path;

use opik_core::rest::BaseUrl;
use opik_core::settings::{OpikSettings, SpoolMode};
use opik_observe::spool::{
    Destination, SpoolState, Waiting, check_directory, inspect_destinations,
};

use super::{Check, Status, folder_of};
use crate::render::numbers::{bytes, moment, things};

/// One check for the present destination, and one for each other for which something waits.
pub(super) fn checks(settings: &OpikSettings) -> Vec<Check> {
    let Some(spools) = settings.spool_directory() else {
        return Vec::new();
    };
    let found = match inspect_destinations(spools) {
        Ok(found) => found,
        Err(error) => {
            let text = format!("cannot read {}: {error}", spools.display());
            return vec![unusable(settings, text)];
        }
    };
    let present = settings
        .base_url()
        .and_then(|url| BaseUrl::parse(url).ok())
        .map(|url| Destination::new(url.as_str(), settings.workspace()));
    let (own, others): (Vec<_>, Vec<_>) = found
        .iter()
        .partition(|waiting| present.is_some() && waiting.destination == present);
    let directory = present
        .as_ref()
        .map_or_else(|| spools.to_owned(), |present| present.directory(spools));
    let state = own.first().map(|waiting| waiting.state).unwrap_or_default();
    let text = format!("{} at {}", told(&state), directory.display());
    let mut checks = vec![match writable(spools, &directory) {
        Err(error) if settings.spool_mode() != SpoolMode::Memory => {
            let text = format!("cannot write in {}: {error}; {text}", spools.display());
            unusable(settings, text)
        }
        _ => of_state(&state, text, settings.spool_mode()),
    }];
    let others = others
        .into_iter()
        .filter(|waiting| waiting.state.segments > 0);
    checks.extend(others.map(of_another));
    checks
}

fn unusable(settings: &OpikSettings, text: String) -> Check {
    // What nobody uses cannot be broken.
    let is_used = settings.is_on() && settings.spool_mode() != SpoolMode::Memory;
    let status = if is_used { Status::Fail } else { Status::Warn };
    Check::new("spool", status, text)
        .hint("make it a folder that can be read and written, or name another in OPIK_SPOOL_DIR")
}

/// Whether a recorder could write there. Nothing is made that is not there yet.
fn writable(spools: &Path, directory: &Path) -> io::Result<()> {
    for there in [directory, spools] {
        if there.exists() {
            return check_directory(there);
        }
    }
    // Below the first that exists a folder would have to be made.
    let mut above = spools.ancestors().skip(1);
    if above.find(|path| path.exists()).is_some_and(Path::is_file) {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    tempfile::NamedTempFile::new_in(folder_of(spools)).map(drop)
}

fn of_state(state: &SpoolState, text: String, mode: SpoolMode) -> Check {
    let damaged = state.damaged_places + state.unknown_segments as u64;
    if damaged > 0 {
        let text = format!("{text}; {} cannot be read", things(damaged, "place"));
        Check::new("spool", Status::Warn, text).hint("what can be read is sent all the same")
    } else if mode == SpoolMode::Memory && state.segments > 0 {
        let text = format!("{text}, and the mode is memory");
        Check::new("spool", Status::Warn, text).hint("OPIK_SPOOL_MODE=spool_on_failure sends it")
    } else {
        Check::new("spool", Status::Ok, text)
    }
}

/// What waits for a server or workspace that the present settings do not name.
fn of_another(waiting: &Waiting) -> Check {
    let (told, place) = (told(&waiting.state), waiting.directory.display());
    let (text, hint) = match &waiting.destination {
        Some(of) => (
            format!(
                "{told} at {place} for another destination, the workspace {} of {}",
                of.workspace(),
                of.base_url()
            ),
            "a program that records there sends it; where nobody does any more, remove the folder",
        ),
        None => (
            format!("{told} at {place}, and nothing says for whom"),
            "no recorder sends it; remove it when it is not wanted",
        ),
    };
    Check::new("spool", Status::Warn, text).hint(hint)
}

fn told(state: &SpoolState) -> String {
    if state.segments == 0 {
        return "nothing waits".to_owned();
    }
    let (records, segments) = (things(state.records, "record"), state.segments as u64);
    let since = state.oldest;
    let since = since.map_or_else(String::new, |at| format!(", since {}", moment(at)));
    let (size, segments) = (bytes(state.bytes), things(segments, "segment"));
    format!("{records} in {segments}, {size}{since}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "http://localhost:5173/api/";
    /// The beginning of a segment, and no more.
    const SEGMENT: &str = "OPIKSPOOL\n\u{1}\0\0\0\0\0nonsense";
    const NAME: &str = "00001800000000000000-1-0123456789abcdef-000000.seg";

    fn of(spools: &Path, mode: SpoolMode) -> Vec<Check> {
        checks(
            &OpikSettings::builder()
                .base_url(URL)
                .enabled(true)
                .spool(spools, mode)
                .load_from(&|_: &str| None),
        )
    }

    #[test]
    fn a_spool_is_looked_at_and_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let none = folder.path().join("none");
        let found = of(&none, SpoolMode::WriteAhead);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].status, Status::Ok, "{}", found[0].text);
        assert!(found[0].text.starts_with("nothing waits at ") && !none.exists());
        assert!(checks(&OpikSettings::builder().load_from(&|_: &str| None)).is_empty());
    }

    #[test]
    fn a_place_that_cannot_be_written_is_a_failure_when_records_would_go_there() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        for place in [&file, &file.join("spool")] {
            let found = of(place, SpoolMode::WriteAhead);
            assert_eq!(found[0].status, Status::Fail, "{}", found[0].text);
        }
    }

    #[test]
    fn what_waits_is_told_by_destination() {
        let folder = tempfile::tempdir().unwrap();
        let spools = folder.path();
        let present = Destination::new(URL, "default");
        let other = Destination::new("http://old.example/api/", "team");
        for destination in [&present, &other] {
            destination.prepare(spools).unwrap();
        }
        assert_eq!(of(spools, SpoolMode::WriteAhead).len(), 1, "empty ones");
        for destination in [&present, &other] {
            std::fs::write(destination.directory(spools).join(NAME), SEGMENT).unwrap();
        }
        std::fs::write(spools.join(NAME), SEGMENT).unwrap();
        let found = of(spools, SpoolMode::WriteAhead);
        let texts: Vec<&str> = found.iter().map(|check| check.text.as_str()).collect();
        assert_eq!(texts.len(), 3, "{texts:?}");
        assert!(
            texts[0].starts_with("0 records in 1 segment, "),
            "{texts:?}"
        );
        assert!(found.iter().all(|check| check.status == Status::Warn));
        let text = texts.iter().find(|text| text.contains("another")).unwrap();
        assert!(text.ends_with("the workspace team of http://old.example/api/"));
        assert!(texts.iter().any(|text| text.ends_with("for whom")));
    }
}
