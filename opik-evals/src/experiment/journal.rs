//! The file of a run; its format is described in the [module](super).

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use opik_core::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{RunFileError, RunInfo, Stopped, Trial};
use crate::dataset::Item;

/// A line, as it is written.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Writing<'a> {
    Run(&'a RunInfo),
    Item(&'a Item),
    Trial(&'a Trial),
    End(End),
    #[cfg_attr(
        not(feature = "rest"),
        expect(dead_code, reason = "submissions write it")
    )]
    Submitted(&'a Submitted),
}

/// A line, as it is read.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reading {
    Run(Box<RunInfo>),
    Item(Value),
    Trial(Box<Trial>),
    End(End),
    Submitted(Submitted),
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct End {
    at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stopped: Option<Stopped>,
}

/// How far a submission got: this many trials to this place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Submitted {
    /// Server, workspace, project and dataset, as one text.
    pub(crate) to: String,
    /// Which trials the run had.
    pub(crate) of: String,
    /// How many trials arrived, in order.
    pub(crate) trials: usize,
    /// Whether the experiment was closed after them.
    pub(crate) finished: bool,
}

/// What a file holds.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) info: RunInfo,
    pub(super) items: Vec<Item>,
    pub(super) trials: Vec<Trial>,
    pub(super) stopped: Option<Stopped>,
    submitted: Vec<Submitted>,
    /// Bytes up to the end of the last whole line.
    whole: u64,
}

/// A finished trial as a line of the file, which can be made wherever the trial ran.
pub(super) fn trial_line(trial: &Trial) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(&Writing::Trial(trial))?;
    line.push(b'\n');
    Ok(line)
}

/// Reads a file, and nothing of a last line that was cut off.
pub(super) fn read(path: &Path) -> Result<Read, RunFileError> {
    let file = File::open(path).map_err(|error| RunFileError::io("open", path, error))?;
    match parse(path, file)? {
        Some(read) => Ok(read),
        None => Err(wrong(path, 1, "is missing")),
    }
}

fn wrong(path: &Path, line: usize, problem: &'static str) -> RunFileError {
    RunFileError::Format {
        path: path.to_owned(),
        line,
        problem,
    }
}

/// `None` when there is not even a whole first line.
fn parse(path: &Path, file: File) -> Result<Option<Read>, RunFileError> {
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut read: Option<Read> = None;
    let mut places: HashMap<(String, u32), usize> = HashMap::new();
    let (mut text, mut whole) = (Vec::new(), 0_u64);
    for line in 1.. {
        text.clear();
        let length = reader
            .read_until(b'\n', &mut text)
            .map_err(|error| RunFileError::io("read", path, error))?;
        if text.pop() != Some(b'\n') {
            break;
        }
        whole += u64::try_from(length).unwrap_or(u64::MAX);
        // The message of the parser would quote the line.
        let parsed: Reading = serde_json::from_slice(&text)
            .map_err(|_| wrong(path, line, "is not one that this version knows"))?;
        match (parsed, &mut read) {
            (Reading::Run(info), None) if info.format == 1 => {
                read = Some(Read {
                    info: *info,
                    items: Vec::new(),
                    trials: Vec::new(),
                    stopped: None,
                    submitted: Vec::new(),
                    whole,
                });
            }
            (Reading::Run(_), None) => return Err(wrong(path, line, "is of a newer version")),
            (_, None) => return Err(wrong(path, line, "does not say what was run")),
            (Reading::Run(_), Some(_)) => return Err(wrong(path, line, "begins a second run")),
            (Reading::Item(item), Some(read)) => {
                let item = Item::from_value(item);
                read.items
                    .push(item.map_err(|problem| wrong(path, line, problem))?);
            }
            (Reading::Trial(trial), Some(read)) => {
                let next = read.trials.len();
                let key = (trial.item_id.clone(), trial.repeat);
                // The last one counts: it is the repetition of one that failed.
                let place = *places.entry(key).or_insert(next);
                match read.trials.get_mut(place) {
                    Some(earlier) => *earlier = *trial,
                    None => read.trials.push(*trial),
                }
            }
            (Reading::End(end), Some(read)) => read.stopped = end.stopped,
            (Reading::Submitted(submitted), Some(read)) => read.submitted.push(submitted),
        }
    }
    Ok(read.map(|read| Read { whole, ..read }))
}

/// The file of a run, open for writing and locked.
#[derive(Debug)]
pub(crate) struct RunFile {
    file: File,
    path: PathBuf,
    submitted: Vec<Submitted>,
}

/// What an earlier run left in a file.
#[derive(Debug)]
pub(crate) struct Before {
    pub(crate) info: RunInfo,
    pub(crate) trials: Vec<Trial>,
}

impl RunFile {
    /// Opens the file of this experiment, or makes it. What an earlier run left is returned.
    pub(crate) fn open(
        path: &Path,
        info: &RunInfo,
        items: &[Item],
    ) -> Result<(Self, Option<Before>), RunFileError> {
        let io = |action| move |error| RunFileError::io(action, path, error);
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            std::fs::create_dir_all(folder).map_err(io("make the folder of"))?;
        }
        let file = locked(path, true)?;
        let length = file.metadata().map_err(io("read"))?.len();
        let again = file.try_clone().map_err(io("open"))?;
        let mut run = Self {
            file,
            path: path.to_owned(),
            submitted: Vec::new(),
        };
        let found = if length == 0 {
            None
        } else {
            parse(path, again)?
        };
        match found {
            // A process that ended while it wrote the items had not run anything yet.
            Some(read) if read.items.len() == read.info.dataset.items => {
                if let Some(what) = read.info.different(info) {
                    let path = path.to_owned();
                    return Err(RunFileError::Different { path, what });
                }
                run.cut(read.whole)?;
                run.submitted = read.submitted;
                let before = Before {
                    info: read.info,
                    trials: read.trials,
                };
                Ok((run, Some(before)))
            }
            Some(read) if !read.trials.is_empty() => {
                Err(wrong(path, 1, "promises other items than follow"))
            }
            None if length > 0 && !begins_like_a_run(path)? => {
                Err(wrong(path, 1, "does not say what was run"))
            }
            _ => {
                run.cut(0)?;
                let head = std::iter::once(Writing::Run(info));
                run.write(head.chain(items.iter().map(Writing::Item)))?;
                Ok((run, None))
            }
        }
    }

    /// Opens the file of a run that is there, to note the progress of a submission.
    #[cfg(feature = "rest")]
    pub(crate) fn reopen(path: &Path) -> Result<(Self, super::Run), RunFileError> {
        let file = locked(path, false)?;
        let read = read(path)?;
        let mut run = Self {
            file,
            path: path.to_owned(),
            submitted: read.submitted,
        };
        run.cut(read.whole)?;
        let result = super::Run::new(read.info, read.items, read.trials, read.stopped);
        Ok((run, result))
    }

    /// Forgets everything after this many bytes, and writes there.
    fn cut(&mut self, length: u64) -> Result<(), RunFileError> {
        let cut = self.file.set_len(length);
        let cut = cut.and_then(|()| self.file.seek(SeekFrom::Start(length)));
        cut.map(drop)
            .map_err(|error| RunFileError::io("write", &self.path, error))
    }

    fn write<'a>(
        &mut self,
        mut lines: impl Iterator<Item = Writing<'a>>,
    ) -> Result<(), RunFileError> {
        let mut text = Vec::new();
        let written = lines
            .try_for_each(|line| -> io::Result<()> {
                serde_json::to_writer(&mut text, &line)?;
                text.push(b'\n');
                Ok(())
            })
            .and_then(|()| self.file.write_all(&text));
        written.map_err(|error| RunFileError::io("write", &self.path, error))
    }

    /// Notes a finished trial by its [line](trial_line), in one write.
    pub(super) fn line(&mut self, line: io::Result<Vec<u8>>) -> Result<(), RunFileError> {
        let written = line.and_then(|line| self.file.write_all(&line));
        written.map_err(|error| RunFileError::io("write", &self.path, error))
    }

    /// Notes finished trials.
    pub(crate) fn trials(&mut self, trials: &[Trial]) -> Result<(), RunFileError> {
        self.write(trials.iter().map(Writing::Trial))
    }

    /// Notes the end of a run, and waits until everything is on the disk.
    pub(crate) fn end(&mut self, stopped: Option<Stopped>) -> Result<(), RunFileError> {
        let end = End {
            at: Timestamp::now(),
            stopped,
        };
        self.write(std::iter::once(Writing::End(end)))?;
        let synced = self.file.sync_data();
        synced.map_err(|error| RunFileError::io("write", &self.path, error))
    }

    /// How far a submission to this place got.
    #[cfg(feature = "rest")]
    pub(crate) fn submitted(&self, to: &str) -> Option<&Submitted> {
        self.submitted.iter().rev().find(|done| done.to == to)
    }

    /// Notes how far a submission got.
    #[cfg(feature = "rest")]
    pub(crate) fn submit(&mut self, done: Submitted) -> Result<(), RunFileError> {
        self.write(std::iter::once(Writing::Submitted(&done)))?;
        self.submitted.push(done);
        Ok(())
    }
}

impl Drop for RunFile {
    /// Closing is not enough: a child that the program just started has a copy of the file for a
    /// moment, and the next to open it would find it locked.
    fn drop(&mut self) {
        self.file.unlock().ok();
    }
}

fn locked(path: &Path, create: bool) -> Result<File, RunFileError> {
    let io = |action| move |error| RunFileError::io(action, path, error);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(create)
        .truncate(false)
        .open(path)
        .map_err(io("open"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(RunFileError::Busy(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(io("lock")(error)),
    }
}

/// Whether the one line of a file, which was cut off, can have been the first of a run: nothing
/// else is ever overwritten.
fn begins_like_a_run(path: &Path) -> Result<bool, RunFileError> {
    let text = std::fs::read(path).map_err(|error| RunFileError::io("read", path, error))?;
    let head: &[u8] = br#"{"run":{"#;
    let same = text.iter().zip(head).all(|(a, b)| a == b);
    Ok(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_free_at_once_while_a_child_still_has_a_copy_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.jsonl");
        let run = RunFile {
            file: locked(&path, true).unwrap(),
            path: path.clone(),
            submitted: Vec::new(),
        };
        let copy = run.file.try_clone().unwrap();
        let busy = locked(&path, false);
        assert!(matches!(busy, Err(RunFileError::Busy(_))), "{busy:?}");
        drop(run);
        assert!(locked(&path, false).is_ok());
        drop(copy);
    }
}
