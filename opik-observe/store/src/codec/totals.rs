//! What a trace knows about its spans, kept so that lists never look at them.
//!
//! All sums are whole numbers, so that taking a replaced row out leaves exactly what the others
//! add up to. Costs are in units of 10^-12 US dollars for that reason.

use std::collections::BTreeMap;

use opik_core::{Trace, Usage};

use super::bytes::{Reader, put_i64, put_i128, put_len, put_str};
use super::span::SpanRow;
use crate::error::StoreError;

const PICO: f64 = 1e12;

/// A sum and how many rows have a part in it; without rows there is no entry.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sum {
    name: String,
    rows: i64,
    sum: i128,
}

/// Sums over the spans of a trace.
#[derive(Debug, Clone, Default)]
pub(crate) struct Totals {
    pub(crate) spans: i64,
    llm: i64,
    tools: i64,
    pub(crate) errors: i64,
    cost: i128,
    usage: Vec<Sum>,
    providers: Vec<Sum>,
}

impl Totals {
    /// Adds a row (`sign` 1) or takes it out (`sign` -1).
    pub(crate) fn count(&mut self, row: &SpanRow<'_>, sign: i64) {
        self.spans += sign;
        match row.kind {
            Some("llm") => self.llm += sign,
            Some("tool") => self.tools += sign,
            _ => {}
        }
        self.errors += if row.error.is_some() { sign } else { 0 };
        self.cost += i128::from(sign) * row.cost.map_or(0, pico);
        for &(name, tokens) in &row.usage {
            add(
                &mut self.usage,
                name,
                sign,
                i128::from(sign) * i128::from(tokens),
            );
        }
        if let Some(provider) = row.provider {
            add(&mut self.providers, provider, sign, 0);
        }
    }

    /// Adds the totals of other rows.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.spans += other.spans;
        self.llm += other.llm;
        self.tools += other.tools;
        self.errors += other.errors;
        self.cost += other.cost;
        for (own, others) in [
            (&mut self.usage, &other.usage),
            (&mut self.providers, &other.providers),
        ] {
            for entry in others {
                add(own, &entry.name, entry.rows, entry.sum);
            }
        }
    }

    /// Whether these are the same sums; they are kept in the order in which names came.
    pub(crate) fn are(&self, other: &Self) -> bool {
        let sorted = |sums: &[Sum]| {
            let mut sums = sums.to_vec();
            sums.sort_unstable_by(|a, b| a.name.cmp(&b.name));
            sums
        };
        let numbers = |totals: &Self| {
            let Self {
                spans,
                llm,
                tools,
                errors,
                cost,
                ..
            } = *totals;
            (spans, llm, tools, errors, cost)
        };
        numbers(self) == numbers(other)
            && sorted(&self.usage) == sorted(&other.usage)
            && sorted(&self.providers) == sorted(&other.providers)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(96);
        for n in [self.spans, self.llm, self.tools, self.errors] {
            put_i64(&mut out, n);
        }
        put_i128(&mut out, self.cost);
        for entries in [&self.usage, &self.providers] {
            put_len(&mut out, entries.len());
            for entry in entries {
                put_str(&mut out, &entry.name);
                put_i64(&mut out, entry.rows);
                put_i128(&mut out, entry.sum);
            }
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut reader = Reader::new(bytes);
        Ok(Self {
            spans: reader.i64()?,
            llm: reader.i64()?,
            tools: reader.i64()?,
            errors: reader.i64()?,
            cost: reader.i128()?,
            usage: sums(&mut reader)?,
            providers: sums(&mut reader)?,
        })
    }

    /// Writes encoded totals into the fields of a trace that has been read.
    pub(crate) fn fill(bytes: &[u8], trace: &mut Trace) -> Result<(), StoreError> {
        let mut reader = Reader::new(bytes);
        trace.span_count = Some(reader.i64()?.max(0).cast_unsigned());
        trace.llm_span_count = Some(reader.i64()?.max(0).cast_unsigned());
        trace.has_tool_spans = Some(reader.i64()? > 0);
        // Errors are counted, but a trace has no field for them.
        reader.i64()?;
        let cost = reader.i128()?;
        trace.total_estimated_cost = (cost != 0).then(|| dollars(cost));
        let bounded =
            |sum: i128| i64::try_from(sum).unwrap_or(if sum < 0 { i64::MIN } else { i64::MAX });
        let mut usage = BTreeMap::new();
        for _ in 0..reader.len()? {
            let name = reader.str()?.to_owned();
            reader.i64()?;
            usage.insert(name, bounded(reader.i128()?));
        }
        trace.usage = Usage(usage);
        let count = reader.len()?;
        trace.providers = Vec::with_capacity(count.min(64));
        for _ in 0..count {
            trace.providers.push(reader.str()?.to_owned());
            reader.i64()?;
            reader.i128()?;
        }
        trace.providers.sort_unstable();
        Ok(())
    }
}

fn sums(reader: &mut Reader<'_>) -> Result<Vec<Sum>, StoreError> {
    let len = reader.len()?;
    let mut entries = Vec::with_capacity(len.min(64));
    for _ in 0..len {
        entries.push(Sum {
            name: reader.str()?.to_owned(),
            rows: reader.i64()?,
            sum: reader.i128()?,
        });
    }
    Ok(entries)
}

fn add(entries: &mut Vec<Sum>, name: &str, rows: i64, sum: i128) {
    if let Some(at) = entries.iter().position(|entry| entry.name == name) {
        if let Some(entry) = entries.get_mut(at) {
            entry.rows += rows;
            entry.sum += sum;
            if entry.rows == 0 {
                entries.remove(at);
            }
        }
    } else if rows != 0 {
        entries.push(Sum {
            name: name.to_owned(),
            rows,
            sum,
        });
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a cast of floats saturates; NaN is zero"
)]
fn pico(cost: f64) -> i128 {
    // Beyond 10^12 dollars a span, the sum of many could overflow.
    (cost.clamp(-1e12, 1e12) * PICO).round() as i128
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a sum of money to be read, not to be added to"
)]
fn dollars(pico: i128) -> f64 {
    pico as f64 / PICO
}
