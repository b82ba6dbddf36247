//! Lists with numbered pages, which is how everything but traces, spans and threads is listed.

use serde::Deserialize;

/// Which numbered page is wanted.
///
/// ```no_run
/// use opik_core::rest::{BaseUrl, OpikClient, PageNumber};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let opik = OpikClient::builder(BaseUrl::LOCAL).build()?;
/// let mut page = PageNumber::new(1, 50);
/// loop {
///     let projects = opik.projects(None, page).await?.content;
///     if projects.is_empty() {
///         break;
///     }
///     page = page.next();
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageNumber {
    pub(super) page: u32,
    pub(super) size: u32,
}

impl PageNumber {
    /// A page, counted from 1, of a number of items; 0 counts as 1.
    #[must_use]
    pub fn new(page: u32, size: u32) -> Self {
        Self {
            page: page.max(1),
            size: size.max(1),
        }
    }

    /// The page after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self {
            page: self.page.saturating_add(1),
            ..self
        }
    }
}

impl Default for PageNumber {
    /// The first 100 items.
    fn default() -> Self {
        Self::new(1, 100)
    }
}

/// A numbered page. A page past the end is empty.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Listing<T> {
    /// The items, newest first.
    #[serde(default = "Vec::new")]
    pub content: Vec<T>,
    /// Its number.
    #[serde(default)]
    pub page: u32,
    /// How many items it has.
    #[serde(default)]
    pub size: u64,
    /// How many items there are on all pages.
    #[serde(default)]
    pub total: u64,
}
