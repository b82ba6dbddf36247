//! Names, and whether the program or its data wrote them.

use std::borrow::Cow;
use std::fmt;

/// A name of a span, trace, score or kind of error.
///
/// A literal in the source code is *declared*: it says nothing about the data. A `String` may have
/// been made of anything, so a redacting branch lets it through only as its
/// [`Policy`](crate::Policy) says. Both convert by themselves:
///
/// ```
/// # let recorder = opik_observe::Recorder::disabled();
/// let declared = recorder.trace("answer");
/// let dynamic = recorder.trace(format!("answer {}", 7));
/// ```
#[derive(Clone)]
pub struct Name<'a> {
    pub(crate) text: Cow<'a, str>,
    pub(crate) declared: bool,
}

impl<'a> Name<'a> {
    /// A name that may have been made of data, for a `&str` that is no literal. Under
    /// [`Policy::metadata_only`](crate::Policy::metadata_only) a hash stands for it, unless
    /// [`Policy::names`](crate::Policy::names) or
    /// [`Policy::allow_name`](crate::Policy::allow_name) lets it through.
    ///
    /// ```
    /// use opik_observe::Name;
    ///
    /// # let recorder = opik_observe::Recorder::disabled();
    /// fn called(tool: &str) -> Name<'_> {
    ///     Name::dynamic(tool)
    /// }
    /// let trace = recorder.trace(called("search"));
    /// ```
    #[must_use]
    pub fn dynamic(text: &'a str) -> Self {
        Self {
            text: Cow::Borrowed(text),
            declared: false,
        }
    }
}

impl From<&'static str> for Name<'static> {
    #[inline]
    fn from(text: &'static str) -> Self {
        Self {
            text: Cow::Borrowed(text),
            declared: true,
        }
    }
}

impl<'a> From<&'a String> for Name<'a> {
    fn from(text: &'a String) -> Self {
        Self::dynamic(text)
    }
}

impl From<String> for Name<'static> {
    fn from(text: String) -> Self {
        Self {
            text: Cow::Owned(text),
            declared: false,
        }
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.declared {
            write!(f, "Name({:?})", self.text)
        } else {
            write!(f, "Name({} bytes)", self.text.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_literals_are_declared_and_only_they_print() {
        assert_eq!(format!("{:?}", Name::from("tool")), "Name(\"tool\")");
        let secret = "what the user asked".to_owned();
        for name in [Name::from(&secret), Name::from(secret.clone())] {
            assert_eq!(format!("{name:?}"), "Name(19 bytes)");
        }
    }
}
