//! One directory for several servers and workspaces: each has a sub-directory of its own.
//!
//! ```text
//! spool/
//!   3f2a9c0d11e84b7a/       sixteen digits of the SHA-256 of address and workspace
//!     destination.txt       address and workspace, to be read by people; no key
//!     *.seg, *.lock         a spool
//!   81c0.../
//! ```

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::files::{Directory, Files as _, check_directory};
use super::inspect::{SpoolState, inspect};
use super::name::random;
use crate::prompt_hash::short;

/// Says in a sub-directory whose it is.
const FILE: &str = "destination.txt";
/// Most bytes of it that are read: an address and a name, of at most 4 KiB each.
const MAX_BYTES: u64 = 16 << 10;
/// Bytes of the hash in the name of a sub-directory.
const HASH: usize = 8;

/// The server and the workspace that a spool's records are for.
///
/// What was recorded for one must not reach another, so each has a
/// [sub-directory](Self::directory) of its own. The key is no part of it: records wait for a key to
/// be mended.
///
/// ```
/// use opik_observe::spool::Destination;
///
/// let here = Destination::new("http://localhost:5173/api/", "default");
/// let there = Destination::new("https://opik.example.com/opik/api/", "default");
/// assert_ne!(here.directory("spool"), there.directory("spool"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Destination {
    base_url: String,
    workspace: String,
}

/// What waits for one destination; see [`inspect_destinations`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiting {
    /// Where it waits.
    pub directory: PathBuf,
    /// For whom; `None` where nothing says so. No recorder sends that.
    pub destination: Option<Destination>,
    /// What waits.
    pub state: SpoolState,
}

impl Destination {
    /// A server by its address, and a workspace of it. Addresses that are written differently are
    /// different servers, but for slashes at the end: give it the form that
    /// `opik_core::rest::BaseUrl` prints.
    #[must_use]
    pub fn new(base_url: &str, workspace: impl Into<String>) -> Self {
        Self {
            base_url: format!("{}/", base_url.trim_end_matches('/')),
            workspace: workspace.into(),
        }
    }

    /// Address of the server.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The workspace.
    #[must_use]
    pub fn workspace(&self) -> &str {
        &self.workspace
    }

    /// Its sub-directory of a directory for spools.
    #[must_use]
    pub fn directory(&self, spools: impl AsRef<Path>) -> PathBuf {
        spools.as_ref().join(self.name())
    }

    fn name(&self) -> String {
        short(&self.text(), None, HASH)
    }

    fn text(&self) -> String {
        format!("server {}\nworkspace {}\n", self.base_url, self.workspace)
    }

    /// Makes the sub-directory, sees whether a spool could write there, and writes down whose it is.
    ///
    /// # Errors
    /// Why that cannot be done. A spool may be opened there all the same: it tries again.
    pub fn prepare(&self, spools: impl AsRef<Path>) -> io::Result<()> {
        let directory = self.directory(spools);
        check_directory(&directory)?;
        if Self::of_directory(&directory).as_ref() == Some(self) {
            return Ok(());
        }
        // Beside it first: another process must not read half of it.
        let files = Directory(directory);
        let beside = format!("{FILE}.{:016x}.tmp", random());
        let mut file = files.create(&beside)?;
        file.append(&[self.text().as_bytes()])
            .and_then(|()| file.sync())
            .and_then(|()| files.rename(&beside, FILE))
            .inspect_err(|_| drop(files.remove(&beside)))
    }

    /// Whose a sub-directory is. What does not fit its name is no answer.
    fn of_directory(directory: &Path) -> Option<Self> {
        let path = directory.join(FILE);
        // A pipe would make this wait.
        if !path.metadata().ok()?.is_file() {
            return None;
        }
        let mut text = String::new();
        let file = File::open(path).ok()?;
        file.take(MAX_BYTES).read_to_string(&mut text).ok()?;
        let (server, workspace) = text.strip_prefix("server ")?.split_once("\nworkspace ")?;
        let found = Self::new(server, workspace.trim_end_matches('\n'));
        (directory.file_name()?.to_str()? == found.name()).then_some(found)
    }
}

/// Looks at all spools in a directory, without changing anything, also while programs use them:
/// those of [destinations](Destination), in the order of their names, and first what lies in the
/// directory itself, if anything does. A directory that does not exist has none.
///
/// # Errors
/// When a directory or a segment in it cannot be read.
pub fn inspect_destinations(spools: impl AsRef<Path>) -> io::Result<Vec<Waiting>> {
    let spools = spools.as_ref();
    let mut found = Vec::new();
    let own = inspect(spools)?;
    if own != SpoolState::default() {
        found.push(Waiting {
            directory: spools.to_owned(),
            destination: None,
            state: own,
        });
    }
    let mut directories = Vec::new();
    match std::fs::read_dir(spools) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        listed => {
            for entry in listed? {
                let path = entry?.path();
                if path.is_dir() {
                    directories.push(path);
                }
            }
        }
    }
    directories.sort();
    for directory in directories {
        let destination = Destination::of_directory(&directory);
        let state = inspect(&directory)?;
        if destination.is_some() || state != SpoolState::default() {
            found.push(Waiting {
                directory,
                destination,
                state,
            });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_destination_has_a_directory_that_says_whose_it_is() {
        let spools = tempfile::tempdir().unwrap();
        let all = [
            Destination::new("http://a/api/", "default"),
            Destination::new("http://b/api", "default"),
            Destination::new("http://a/api", "team"),
        ];
        for destination in all.iter().chain(&all) {
            destination.prepare(spools.path()).unwrap();
        }
        let found = inspect_destinations(spools.path()).unwrap();
        assert_eq!(found.len(), 3, "{found:?}");
        for destination in &all {
            let waiting = found
                .iter()
                .find(|waiting| waiting.destination.as_ref() == Some(destination))
                .unwrap();
            assert_eq!(waiting.directory, destination.directory(spools.path()));
            let names: Vec<_> = std::fs::read_dir(&waiting.directory)
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect();
            assert_eq!(names, [FILE]);
        }
    }

    #[test]
    fn a_note_that_does_not_fit_its_place_is_not_believed_and_put_right() {
        let spools = tempfile::tempdir().unwrap();
        let (a, b) = (
            Destination::new("http://a/", "w"),
            Destination::new("http://b/", "w"),
        );
        a.prepare(spools.path()).unwrap();
        for text in [b.text().as_str(), "", "server \nworkspace", "\u{0}"] {
            let directory = a.directory(spools.path());
            std::fs::write(directory.join(FILE), text).unwrap();
            assert_eq!(Destination::of_directory(&directory), None, "{text:?}");
            a.prepare(spools.path()).unwrap();
            assert_eq!(Destination::of_directory(&directory), Some(a.clone()));
        }
        assert_eq!(
            inspect_destinations(spools.path().join("none")).unwrap(),
            []
        );
        let file = spools.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(a.prepare(&file).is_err() && inspect_destinations(&file).is_err());
    }
}
