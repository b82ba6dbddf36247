//! Files, folders, standard input, and gzip by its content.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;

use super::DatasetError;

/// Bytes that are read at once.
const BUFFER: usize = 64 * 1024;
/// What the name of a file in a folder ends with.
const ENDINGS: [&str; 4] = ["json", "jsonl", "ndjson", "gz"];

/// Where records come from: a file, the files of a folder, standard input, or any reader.
///
/// A folder means the files below it that end in `.json`, `.jsonl`, `.ndjson`, or one of these and
/// `.gz`, in the order of their paths; links are not followed. Gzip is seen by its content.
pub struct Input {
    name: Arc<str>,
    kind: Kind,
}

enum Kind {
    Path(PathBuf),
    Reader(Box<dyn BufRead + Send>),
}

impl Input {
    /// A file or a folder; `-` is standard input. It is opened when it is read.
    #[must_use]
    pub fn path(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        if path.as_os_str() == "-" {
            return Self::reader("-", BufReader::new(io::stdin()));
        }
        Self {
            name: path.display().to_string().into(),
            kind: Kind::Path(path),
        }
    }

    /// A reader, and the name by which reports call it.
    #[must_use]
    pub fn reader(name: impl Into<Arc<str>>, reader: impl BufRead + Send + 'static) -> Self {
        Self {
            name: name.into(),
            kind: Kind::Reader(Box::new(reader)),
        }
    }

    /// The files that this input stands for, those of a folder in order.
    pub(crate) fn files(self) -> Result<Vec<Self>, DatasetError> {
        let Kind::Path(path) = &self.kind else {
            return Ok(vec![self]);
        };
        let metadata = fs::metadata(path).map_err(|error| missing(path, error))?;
        if !metadata.is_dir() {
            return Ok(vec![self]);
        }
        Ok(below(path)?.into_iter().map(Self::path).collect())
    }

    /// Opens it.
    pub(crate) fn open(self) -> Result<(Arc<str>, Box<dyn BufRead + Send>), DatasetError> {
        let Self { name, kind } = self;
        let plain: Box<dyn BufRead + Send> = match kind {
            Kind::Reader(reader) => reader,
            Kind::Path(path) => {
                let file = File::open(&path).map_err(|error| missing(&path, error))?;
                Box::new(BufReader::with_capacity(BUFFER, file))
            }
        };
        match unpacked(plain) {
            Ok(reader) => Ok((name, reader)),
            Err(source) => Err(DatasetError::Read {
                file: name.to_string(),
                source,
            }),
        }
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Input").field(&self.name).finish()
    }
}

fn missing(path: &Path, source: io::Error) -> DatasetError {
    if source.kind() == io::ErrorKind::NotFound {
        return DatasetError::Missing {
            path: path.to_owned(),
        };
    }
    DatasetError::Read {
        file: path.display().to_string(),
        source,
    }
}

/// The files below a folder that may hold records, sorted. Walks with a list of its own, so depth
/// costs no stack.
fn below(folder: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let fail = |source| DatasetError::Read {
            file: folder.display().to_string(),
            source,
        };
        for entry in fs::read_dir(&folder).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let kind = entry.file_type().map_err(fail)?;
            let path = entry.path();
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() && holds_records(&path) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn holds_records(path: &Path) -> bool {
    path.extension()
        .and_then(|ending| ending.to_str())
        .is_some_and(|ending| {
            ENDINGS
                .iter()
                .any(|known| known.eq_ignore_ascii_case(ending))
        })
}

/// The reader, through gzip where the content begins as gzip does.
fn unpacked(mut reader: Box<dyn BufRead + Send>) -> io::Result<Box<dyn BufRead + Send>> {
    let start = loop {
        match reader.fill_buf() {
            Ok(start) => break start,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    };
    // A pipe may hand over the first byte alone; no JSON begins with it.
    if start.first() != Some(&0x1f) {
        return Ok(reader);
    }
    let packed: Box<dyn Read + Send> = Box::new(MultiGzDecoder::new(reader));
    Ok(Box::new(BufReader::with_capacity(BUFFER, packed)))
}
