//! What is read: a file, or standard input.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;

use crate::exit::{Code, Failure};

/// An input that was opened before anything is written, so that a wrong name costs nothing.
#[derive(Debug)]
pub(super) struct Input {
    name: String,
    size: Option<u64>,
    source: Source,
}

#[derive(Debug)]
enum Source {
    File(File),
    Stdin,
}

impl Input {
    /// Opens a file, or standard input for `-`. With `twice` the input can be read again:
    /// standard input is then copied to a temporary file first.
    pub(super) fn open(path: &Path, twice: bool) -> Result<Self, Failure> {
        if path.as_os_str() == "-" {
            return Self::stdin(twice);
        }
        let name = path.display().to_string();
        let file = File::open(path).map_err(|error| {
            let code = match error.kind() {
                io::ErrorKind::NotFound => Code::NotFound,
                _ => Code::Input,
            };
            Failure::new(code, format!("cannot open {name}")).cause(error)
        })?;
        let metadata = file.metadata().map_err(|error| {
            Failure::new(Code::Input, format!("cannot look at {name}")).cause(error)
        })?;
        if metadata.is_dir() {
            return Err(Failure::new(Code::Input, format!("{name} is a directory"))
                .hint(format!("name the files in it, for example {name}/*.jsonl")));
        }
        Ok(Self {
            name,
            size: metadata.is_file().then_some(metadata.len()),
            source: Source::File(file),
        })
    }

    fn stdin(twice: bool) -> Result<Self, Failure> {
        let name = "standard input".to_owned();
        if !twice {
            return Ok(Self {
                name,
                size: None,
                source: Source::Stdin,
            });
        }
        let copy = || -> io::Result<(File, u64)> {
            let mut file = tempfile::tempfile()?;
            let size = io::copy(&mut io::stdin().lock(), &mut file)?;
            file.rewind()?;
            Ok((file, size))
        };
        let (file, size) = copy().map_err(|error| {
            Failure::new(Code::Input, "cannot read standard input").cause(error)
        })?;
        Ok(Self {
            name,
            size: Some(size),
            source: Source::File(file),
        })
    }

    pub(super) fn name(&self) -> String {
        self.name.clone()
    }

    /// Bytes, where that is known.
    pub(super) fn size(&self) -> Option<u64> {
        self.size
    }

    /// Goes back to the beginning.
    pub(super) fn rewind(&mut self) -> Result<(), Failure> {
        match &mut self.source {
            Source::File(file) => file.rewind().map_err(|error| {
                let text = format!("cannot read {} a second time", self.name);
                Failure::new(Code::Input, text)
                    .cause(error)
                    .hint("pass it on standard input, or leave --strict out")
            }),
            Source::Stdin => Ok(()),
        }
    }

    pub(super) fn reader(&mut self) -> Box<dyn Read + '_> {
        match &mut self.source {
            Source::File(file) => Box::new(file),
            Source::Stdin => Box::new(io::stdin().lock()),
        }
    }
}
