//! Parameters of metrics as JSON, for settings in files and on command lines.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::MetricError;

/// Parameters as they are read: which were asked for, and that each has the right type.
#[derive(Debug)]
pub(crate) struct Parameters<'a> {
    given: &'a Map<String, Value>,
    read: BTreeSet<&'static str>,
}

impl<'a> Parameters<'a> {
    /// Parameters of which nothing was read yet but the name, which every metric takes.
    pub(crate) fn new(given: &'a Map<String, Value>) -> Self {
        Self {
            given,
            read: BTreeSet::from(["name"]),
        }
    }

    /// Refuses a parameter that nobody asked for.
    pub(crate) fn all_read(&self, metric: &str) -> Result<(), MetricError> {
        match self
            .given
            .keys()
            .find(|key| !self.read.contains(key.as_str()))
        {
            Some(unknown) => Err(MetricError::parameter(format!(
                "{metric} has no parameter `{unknown}`"
            ))),
            None => Ok(()),
        }
    }

    /// The name of the scores, where another one is wanted.
    pub(crate) fn name(&mut self) -> Result<Option<&'a str>, MetricError> {
        match self.text("name")? {
            Some(name) if name.trim().is_empty() => {
                Err(MetricError::parameter("the name is blank"))
            }
            name => Ok(name),
        }
    }

    /// A parameter that has to be there.
    pub(crate) fn needed<T>(metric: &str, name: &str, value: Option<T>) -> Result<T, MetricError> {
        value
            .ok_or_else(|| MetricError::parameter(format!("{metric} needs the parameter `{name}`")))
    }

    /// Any JSON but null.
    pub(crate) fn value(&mut self, name: &'static str) -> Result<Option<&'a Value>, MetricError> {
        self.read(name, "a value", Some)
    }

    fn read<T>(
        &mut self,
        name: &'static str,
        expected: &str,
        convert: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, MetricError> {
        self.read.insert(name);
        match self.given.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => convert(value).map(Some).ok_or_else(|| {
                MetricError::parameter(format!("the parameter `{name}` has to be {expected}"))
            }),
        }
    }

    pub(crate) fn flag(&mut self, name: &'static str) -> Result<Option<bool>, MetricError> {
        self.read(name, "true or false", Value::as_bool)
    }

    pub(crate) fn text(&mut self, name: &'static str) -> Result<Option<&'a str>, MetricError> {
        self.read(name, "text", Value::as_str)
    }

    pub(crate) fn number(&mut self, name: &'static str) -> Result<Option<f64>, MetricError> {
        self.read(name, "a number", Value::as_f64)
    }

    pub(crate) fn count(&mut self, name: &'static str) -> Result<Option<usize>, MetricError> {
        self.read(name, "a whole number from 0 on", |value| {
            usize::try_from(value.as_u64()?).ok()
        })
    }

    pub(crate) fn texts(
        &mut self,
        name: &'static str,
    ) -> Result<Option<Vec<&'a str>>, MetricError> {
        self.read(name, "a list of texts", |value| {
            value.as_array()?.iter().map(Value::as_str).collect()
        })
    }

    pub(crate) fn numbers(&mut self, name: &'static str) -> Result<Option<Vec<f64>>, MetricError> {
        self.read(name, "a list of numbers", |value| {
            value.as_array()?.iter().map(Value::as_f64).collect()
        })
    }
}
