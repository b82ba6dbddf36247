//! Pages of lists, and what a look-up by name found.

use crate::ProjectId;

/// Which page of a list is wanted, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbered {
    page: usize,
    size: usize,
}

impl Numbered {
    /// The page with this number, counted from 1, of so many items. Zeros count as one.
    #[must_use]
    pub fn new(page: usize, size: usize) -> Self {
        Self {
            page: page.max(1),
            size: size.max(1),
        }
    }

    /// Everything on one page.
    #[must_use]
    pub const fn all() -> Self {
        Self {
            page: 1,
            size: usize::MAX,
        }
    }

    /// Its number, from 1.
    #[must_use]
    pub fn page(self) -> usize {
        self.page
    }

    /// Most items on it.
    #[must_use]
    pub fn size(self) -> usize {
        self.size
    }

    /// How many items come before it.
    #[must_use]
    pub fn skip(self) -> usize {
        (self.page - 1).saturating_mul(self.size)
    }

    /// The items of a list that are on this page.
    #[must_use]
    pub fn of<T>(self, all: Vec<T>) -> Listing<T> {
        let total = all.len();
        let items = all.into_iter().skip(self.skip()).take(self.size).collect();
        Listing { items, total }
    }
}

impl Default for Numbered {
    /// The first ten.
    fn default() -> Self {
        Self::new(1, 10)
    }
}

/// A page of a list, and how long the list is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing<T> {
    /// The items of the page.
    pub items: Vec<T>,
    /// How many there are on all pages.
    pub total: usize,
}

impl<T> Listing<T> {
    /// The same page of something else.
    #[must_use]
    pub fn map<U>(self, of: impl FnMut(T) -> U) -> Listing<U> {
        Listing {
            items: self.items.into_iter().map(of).collect(),
            total: self.total,
        }
    }
}

/// What a look-up by name found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<T> {
    /// It.
    pub record: T,
    /// Whether it belongs to another project than the one that was named.
    pub elsewhere: bool,
}

/// Which project something belongs to or is looked for in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProjectChoice {
    /// By identifier, which goes first.
    pub id: Option<ProjectId>,
    /// By name, without regard to case.
    pub name: Option<String>,
}

impl ProjectChoice {
    /// The project with this name; none where it is absent or blank.
    #[must_use]
    pub fn named(name: Option<&str>) -> Self {
        Self {
            id: None,
            name: name
                .map(str::trim)
                .filter(|name| !name.is_empty())
                .map(str::to_owned),
        }
    }

    /// Identifier first, then name.
    #[must_use]
    pub fn new(id: Option<ProjectId>, name: Option<&str>) -> Self {
        Self {
            id,
            ..Self::named(name)
        }
    }

    /// Whether no project was named.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.id.is_none() && self.name.is_none()
    }
}
