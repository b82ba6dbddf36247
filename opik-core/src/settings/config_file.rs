//! The file of the official clients: found, read within bounds, edited and written whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::ini::{Contents, Document};
use crate::id::random_bits;

/// Names the file instead of `~/.opik.config`.
pub(super) const PATH_VARIABLE: &str = "OPIK_CONFIG_PATH";
/// Name of the file in the home directory.
const NAME: &str = ".opik.config";
/// Most bytes that are read: a settings file has a few hundred.
const MAX_BYTES: u64 = 1 << 20;

/// `~/.opik.config`: the settings that the official clients write and read too.
///
/// Its section `[opik]` has `url_override`, `api_key`, `workspace`, `project_name`, and any other
/// setting of the official clients in lower case. Comments, other sections and unknown keys survive
/// an edit.
///
/// ```
/// use opik_core::settings::ConfigFile;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join(".opik.config");
/// let mut file = ConfigFile::open(&path)?;
/// file.set("url_override", "http://localhost:5173/api/")?;
/// file.save()?;
/// assert_eq!(std::fs::read_to_string(&path)?, "[opik]\nurl_override = http://localhost:5173/api/\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ConfigFile {
    path: PathBuf,
    document: Document,
    exists: bool,
}

/// Why a file cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigFileError {
    /// A directory, a pipe or a device.
    #[error("it is not a regular file")]
    NotAFile,
    /// More than 1 MiB.
    #[error("it is larger than {MAX_BYTES} bytes")]
    TooLarge,
    /// The system does not let us read it.
    #[error("it cannot be read")]
    Read(#[source] io::Error),
    /// The system does not let us write it; the old file is as it was.
    #[error("it cannot be written")]
    Write(#[source] io::Error),
    /// A value has a line break or another control character, or spaces around it.
    #[error("the value of {key} has characters that the file cannot hold")]
    Value {
        /// The key that was to be set.
        key: String,
    },
}

impl ConfigFile {
    /// Where the file is: what `OPIK_CONFIG_PATH` says, else `.opik.config` in the home directory.
    /// Nothing when there is no home directory.
    pub fn locate(environment: &impl Environment) -> Option<PathBuf> {
        match environment.variable(PATH_VARIABLE) {
            Some(path) if !path.is_empty() => Some(expand(path.into(), environment)),
            _ => environment.home().map(|home| home.join(NAME)),
        }
    }

    /// Reads a file; one that does not exist is empty. Nothing but regular files is opened, so that
    /// no pipe can make this wait.
    ///
    /// # Errors
    /// [`ConfigFileError`].
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, ConfigFileError> {
        let path = path.into();
        let bytes = read(&path)?;
        Ok(Self {
            document: Document::parse(bytes.as_deref().unwrap_or_default()),
            exists: bytes.is_some(),
            path,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it was there when it was opened.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.exists
    }

    /// The value of a key of `[opik]`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<String> {
        self.document.contents().get(key)?.0.ok()
    }

    /// Sets a key of `[opik]`, in its place where it is there already.
    ///
    /// # Errors
    /// [`ConfigFileError::Value`].
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), ConfigFileError> {
        if value.trim() != value || value.chars().any(char::is_control) {
            return Err(ConfigFileError::Value {
                key: key.to_owned(),
            });
        }
        self.document.set(key, value);
        Ok(())
    }

    /// Takes a key out of `[opik]`.
    pub fn remove(&mut self, key: &str) {
        self.document.remove(key);
    }

    /// Writes the file: beside the old one first, then in its place, so that no reader and no
    /// crash sees half of it. Only its owner can read it (on Unix), as it holds a key. A symbolic
    /// link stays one.
    ///
    /// # Errors
    /// [`ConfigFileError::Write`]; the old file is then as it was.
    pub fn save(&self) -> Result<(), ConfigFileError> {
        let target = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let name = format!("{NAME}.{:016x}.tmp", random_bits());
        let beside = target.with_file_name(name);
        let written = write_new(&beside, &self.document.to_bytes())
            .and_then(|()| fs::rename(&beside, &target));
        written.map_err(|error| {
            // What cannot be removed was most likely never made.
            drop(fs::remove_file(&beside));
            ConfigFileError::Write(error)
        })
    }

    pub(super) fn contents(&self) -> Contents {
        self.document.contents()
    }
}

impl std::fmt::Debug for ConfigFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConfigFile")
            .field("path", &self.path)
            .field("exists", &self.exists)
            .finish_non_exhaustive()
    }
}

/// `~` and what is below it.
pub(super) fn expand(path: PathBuf, environment: &impl Environment) -> PathBuf {
    match (path.strip_prefix("~"), environment.home()) {
        (Ok(rest), Some(home)) if rest.as_os_str().is_empty() => home,
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path,
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, ConfigFileError> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ConfigFileError::Read(error)),
    };
    if !metadata.is_file() {
        return Err(ConfigFileError::NotAFile);
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(ConfigFileError::Read)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(ConfigFileError::TooLarge);
    }
    Ok(Some(bytes))
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
