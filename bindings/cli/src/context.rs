//! What every command needs: where the store is, how to write, how wide the terminal is.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use opik_store::{Store, StoreOptions};

use crate::args::Global;
use crate::config;
use crate::exit::{Code, Failure, opening_hint};
use crate::output::Output;
use crate::render::glyphs::Glyphs;

/// Columns of text when no terminal says otherwise.
const DEFAULT_WIDTH: usize = 100;

/// What a command works with.
#[derive(Debug)]
pub(crate) struct Context {
    /// Where results go.
    pub(crate) out: Output,
    /// Columns of text.
    pub(crate) width: usize,
    /// What lines and bars are drawn with.
    pub(crate) glyphs: Glyphs,
    db: Option<PathBuf>,
}

impl Context {
    pub(crate) fn new(global: &Global) -> Self {
        let width = global
            .width
            .map(usize::from)
            .or_else(terminal_width)
            .unwrap_or(DEFAULT_WIDTH);
        Self {
            out: Output::new(global.color, global.json),
            width: width.clamp(40, 1_000),
            glyphs: Glyphs::choose(global.ascii || !config::locale_is_utf8()),
            db: global.db.clone(),
        }
    }

    /// The file of the store.
    pub(crate) fn store_path(&self) -> Result<PathBuf, Failure> {
        match &self.db {
            Some(path) if path.as_os_str().is_empty() => {
                Err(Failure::new(Code::Usage, "the name of the store is empty")
                    .hint("give --db or OPIK_DB the path of a file"))
            }
            Some(path) => Ok(path.clone()),
            None => config::default_store(),
        }
    }

    /// Opens the store to write to it; makes it, and its folder, where there is none.
    pub(crate) fn open_store(&self) -> Result<Store, Failure> {
        let path = self.store_path()?;
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            std::fs::create_dir_all(folder).map_err(|error| {
                Failure::new(
                    Code::Store,
                    format!("cannot make the folder {}", folder.display()),
                )
                .cause(error)
                .hint("name another file with --db or OPIK_DB")
            })?;
        }
        open(&path, StoreOptions::default())
    }

    /// Opens the store to read from it; one that does not exist is an error, not an empty store.
    /// Work on the text index is left to others, which makes this quick.
    pub(crate) fn existing_store(&self) -> Result<Store, Failure> {
        self.existing(StoreOptions::default().readers(1).index_text(false))
    }

    /// As [`Self::existing_store`], for searches by text: brings the index up to date.
    pub(crate) fn existing_store_with_text(&self) -> Result<Store, Failure> {
        self.existing(StoreOptions::default())
    }

    fn existing(&self, options: StoreOptions) -> Result<Store, Failure> {
        let path = self.store_path()?;
        if !path.exists() {
            return Err(Failure::new(
                Code::Store,
                format!("there is no store at {}", path.display()),
            )
            .hint("opik-rs demo, or opik-rs import <FILE>, makes one"));
        }
        open(&path, options.create(false))
    }
}

fn open(path: &Path, options: StoreOptions) -> Result<Store, Failure> {
    Store::open(path, options).map_err(|error| {
        let hint = opening_hint(&error);
        Failure::new(
            Code::Store,
            format!("cannot open the store {}", path.display()),
        )
        .cause(error)
        .hint(hint)
    })
}

/// Columns of the terminal that standard output is, or as the shell states them.
fn terminal_width() -> Option<usize> {
    if io::stdout().is_terminal()
        && let Some((width, _)) = terminal_size::terminal_size()
    {
        return Some(usize::from(width.0));
    }
    config::stated_width()
}
