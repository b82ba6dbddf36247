//! Output that appears whole or not at all.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::{Builder, NamedTempFile};

use super::DatasetError;

/// A file that takes the place of its target when it is finished, and never before.
///
/// It is written beside the target under another name; a crash or an error leaves the target as it
/// was. A name that ends in `.gz` is compressed. Folders on the way are made.
///
/// ```
/// use std::io::Write as _;
/// use opik_evals::dataset::AtomicFile;
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("out/set.jsonl");
/// let mut file = AtomicFile::create(&path, &[])?;
/// file.write_all(b"{}\n")?;
/// assert!(!path.exists());
/// file.finish()?;
/// assert!(path.exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct AtomicFile {
    target: PathBuf,
    file: Sink,
}

#[derive(Debug)]
enum Sink {
    Plain(BufWriter<NamedTempFile>),
    Packed(Box<GzEncoder<BufWriter<NamedTempFile>>>),
}

impl AtomicFile {
    /// Begins a file.
    ///
    /// # Errors
    ///
    /// [`SameFile`](DatasetError::SameFile) when the target is one of the inputs, under any name, or
    /// lies in a folder that is one; else when the file cannot be made.
    pub fn create(target: &Path, inputs: &[&Path]) -> Result<Self, DatasetError> {
        let failed = |source| DatasetError::Write {
            path: target.to_owned(),
            source,
        };
        if inputs.iter().any(|input| is_within(target, input)) {
            return Err(DatasetError::SameFile {
                path: target.to_owned(),
            });
        }
        let folder = target
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or_else(|| Path::new("."));
        fs::create_dir_all(folder).map_err(failed)?;
        let file = BufWriter::with_capacity(64 * 1024, new_file(folder).map_err(failed)?);
        let packed = target
            .extension()
            .is_some_and(|ending| ending.eq_ignore_ascii_case("gz"));
        Ok(Self {
            target: target.to_owned(),
            file: if packed {
                Sink::Packed(Box::new(GzEncoder::new(file, Compression::default())))
            } else {
                Sink::Plain(file)
            },
        })
    }

    /// Puts the file in the place of its target.
    ///
    /// # Errors
    ///
    /// When the rest cannot be written or the target cannot be replaced; it is then as it was.
    pub fn finish(self) -> Result<(), DatasetError> {
        let target = self.target;
        let finish = || {
            let buffered = match self.file {
                Sink::Plain(file) => file,
                Sink::Packed(file) => file.finish()?,
            };
            let file = buffered
                .into_inner()
                .map_err(io::IntoInnerError::into_error)?;
            file.as_file().sync_all()?;
            file.persist(&target).map_err(|error| error.error)?;
            Ok(())
        };
        finish().map_err(|source| DatasetError::Write {
            path: target.clone(),
            source,
        })
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.file {
            Sink::Plain(file) => file.write(bytes),
            Sink::Packed(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.file {
            Sink::Plain(file) => file.flush(),
            Sink::Packed(file) => file.flush(),
        }
    }
}

/// Bytes of lines that are kept as memory for the next.
const KEPT: usize = 256 * 1024;

/// Writes lines and empties them.
pub(super) fn write_lines(output: &mut dyn Write, lines: &mut String) -> Result<(), DatasetError> {
    let written = output.write_all(lines.as_bytes());
    lines.clear();
    lines.shrink_to(KEPT);
    written.map_err(|source| DatasetError::Write {
        path: Path::new("the output").to_owned(),
        source,
    })
}

/// A file with the rights that a file has that a program makes.
fn new_file(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = Builder::new();
    builder.prefix(".opik-").suffix(".part");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

/// Whether a target is an input, by whatever name, or lies in an input that is a folder.
fn is_within(target: &Path, input: &Path) -> bool {
    if same_file::is_same_file(target, input).unwrap_or(false) {
        return true;
    }
    let Ok(input) = fs::canonicalize(input) else {
        return false;
    };
    let folder = target.parent().map_or_else(
        || PathBuf::from("."),
        |folder| {
            if folder.as_os_str().is_empty() {
                PathBuf::from(".")
            } else {
                folder.to_owned()
            }
        },
    );
    input.is_dir() && fs::canonicalize(folder).is_ok_and(|folder| folder.starts_with(&input))
}
