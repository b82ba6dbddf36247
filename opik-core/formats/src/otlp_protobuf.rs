//! OTLP requests as protobuf, turned into the same request as JSON.
//!
//! Only what traces need is read: the fields of `ExportTraceServiceRequest` and what is in it.
//! Unknown fields are skipped, wire types that do not fit are an error, nesting of attribute
//! values ends at [`DEEPEST`].

use std::fmt;

use serde_json::{Map, Value, json};

/// Deepest nesting of attribute values; deeper ones are left out.
const DEEPEST: usize = 32;

/// The bytes are no OTLP request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProtobufError;

impl fmt::Display for ProtobufError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes are not an OTLP request for traces in protobuf")
    }
}

impl std::error::Error for ProtobufError {}

/// The value of a field, by its wire type.
enum Field<'b> {
    Number(u64),
    Fixed(u64),
    Bytes(&'b [u8]),
}

/// Fields of a message, one after the other.
struct Fields<'b>(&'b [u8]);

impl<'b> Fields<'b> {
    fn varint(&mut self) -> Result<u64, ProtobufError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(ProtobufError)?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(ProtobufError)
    }

    fn bytes(&mut self, count: usize) -> Result<&'b [u8], ProtobufError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(ProtobufError)?;
        self.0 = rest;
        Ok(taken)
    }

    fn next(&mut self) -> Result<Option<(u64, Field<'b>)>, ProtobufError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let field = match tag & 7 {
            0 => Field::Number(self.varint()?),
            1 => {
                let bytes = self.bytes(8)?.try_into().map_err(|_| ProtobufError)?;
                Field::Fixed(u64::from_le_bytes(bytes))
            }
            2 => {
                let count = usize::try_from(self.varint()?).map_err(|_| ProtobufError)?;
                Field::Bytes(self.bytes(count)?)
            }
            5 => {
                let bytes = self.bytes(4)?.try_into().map_err(|_| ProtobufError)?;
                Field::Fixed(u64::from(u32::from_le_bytes(bytes)))
            }
            _ => return Err(ProtobufError),
        };
        Ok(Some((tag >> 3, field)))
    }
}

impl<'b> Field<'b> {
    fn message(self) -> Result<&'b [u8], ProtobufError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(ProtobufError),
        }
    }

    fn text(self) -> Result<Value, ProtobufError> {
        Ok(String::from_utf8_lossy(self.message()?).into())
    }

    fn hex(self) -> Result<Value, ProtobufError> {
        use fmt::Write as _;
        let mut text = String::new();
        for byte in self.message()? {
            write!(text, "{byte:02x}").map_err(|_| ProtobufError)?;
        }
        Ok(text.into())
    }

    /// Moments and whole numbers are texts in OTLP's JSON.
    fn number(self) -> Result<u64, ProtobufError> {
        match self {
            Self::Number(number) | Self::Fixed(number) => Ok(number),
            Self::Bytes(_) => Err(ProtobufError),
        }
    }
}

/// Reads a message: `each` puts a field into the object.
fn object<'b>(
    bytes: &'b [u8],
    mut each: impl FnMut(&mut Map<String, Value>, u64, Field<'b>) -> Result<(), ProtobufError>,
) -> Result<Value, ProtobufError> {
    let mut members = Map::new();
    let mut fields = Fields(bytes);
    while let Some((number, field)) = fields.next()? {
        each(&mut members, number, field)?;
    }
    Ok(Value::Object(members))
}

/// Adds to a list of the object.
fn push(members: &mut Map<String, Value>, name: &str, value: Value) {
    match members.get_mut(name) {
        Some(Value::Array(list)) => list.push(value),
        _ => {
            members.insert(name.to_owned(), Value::Array(vec![value]));
        }
    }
}

/// An OTLP request in protobuf as the same request in JSON.
///
/// # Errors
/// [`ProtobufError`] when the bytes are not such a request.
pub fn otlp_from_protobuf(bytes: &[u8]) -> Result<Value, ProtobufError> {
    object(bytes, |request, number, field| {
        if number == 1 {
            push(request, "resourceSpans", resource_spans(field.message()?)?);
        }
        Ok(())
    })
}

fn resource_spans(bytes: &[u8]) -> Result<Value, ProtobufError> {
    object(bytes, |group, number, field| {
        match number {
            1 => {
                let resource = attributed(field.message()?, 1)?;
                group.insert("resource".to_owned(), resource);
            }
            2 => push(group, "scopeSpans", scope_spans(field.message()?)?),
            _ => {}
        }
        Ok(())
    })
}

/// A message of which only the attributes count.
fn attributed(bytes: &[u8], attributes: u64) -> Result<Value, ProtobufError> {
    object(bytes, |members, number, field| {
        if number == attributes {
            push(members, "attributes", key_value(field.message()?, 0)?);
        }
        Ok(())
    })
}

fn scope_spans(bytes: &[u8]) -> Result<Value, ProtobufError> {
    object(bytes, |group, number, field| {
        match number {
            1 => {
                let scope = object(field.message()?, |scope, number, field| {
                    match number {
                        1 => drop(scope.insert("name".to_owned(), field.text()?)),
                        2 => drop(scope.insert("version".to_owned(), field.text()?)),
                        _ => {}
                    }
                    Ok(())
                })?;
                group.insert("scope".to_owned(), scope);
            }
            2 => push(group, "spans", span(field.message()?)?),
            _ => {}
        }
        Ok(())
    })
}

fn span(bytes: &[u8]) -> Result<Value, ProtobufError> {
    object(bytes, |span, number, field| {
        let (name, value) = match number {
            1 => ("traceId", field.hex()?),
            2 => ("spanId", field.hex()?),
            4 => ("parentSpanId", field.hex()?),
            5 => ("name", field.text()?),
            6 => ("kind", field.number()?.into()),
            7 => ("startTimeUnixNano", field.number()?.to_string().into()),
            8 => ("endTimeUnixNano", field.number()?.to_string().into()),
            9 => {
                push(span, "attributes", key_value(field.message()?, 0)?);
                return Ok(());
            }
            11 => {
                push(span, "events", event(field.message()?)?);
                return Ok(());
            }
            13 => {
                push(span, "links", link(field.message()?)?);
                return Ok(());
            }
            15 => ("status", status(field.message()?)?),
            _ => return Ok(()),
        };
        span.insert(name.to_owned(), value);
        Ok(())
    })
}

fn event(bytes: &[u8]) -> Result<Value, ProtobufError> {
    object(bytes, |event, number, field| {
        match number {
            1 => {
                let moment = field.number()?.to_string().into();
                event.insert("timeUnixNano".to_owned(), moment);
            }
            2 => drop(event.insert("name".to_owned(), field.text()?)),
            3 => push(event, "attributes", key_value(field.message()?, 0)?),
            _ => {}
        }
        Ok(())
    })
}

fn link(bytes: &[u8]) -> Result<Value, ProtobufError> {
    object(bytes, |link, number, field| {
        match number {
            1 => drop(link.insert("traceId".to_owned(), field.hex()?)),
            2 => drop(link.insert("spanId".to_owned(), field.hex()?)),
            4 => push(link, "attributes", key_value(field.message()?, 0)?),
            _ => {}
        }
        Ok(())
    })
}

fn status(bytes: &[u8]) -> Result<Value, ProtobufError> {
    object(bytes, |status, number, field| {
        match number {
            2 => drop(status.insert("message".to_owned(), field.text()?)),
            3 => drop(status.insert("code".to_owned(), field.number()?.into())),
            _ => {}
        }
        Ok(())
    })
}

fn key_value(bytes: &[u8], depth: usize) -> Result<Value, ProtobufError> {
    object(bytes, |pair, number, field| {
        match number {
            1 => drop(pair.insert("key".to_owned(), field.text()?)),
            2 => drop(pair.insert("value".to_owned(), any_value(field.message()?, depth)?)),
            _ => {}
        }
        Ok(())
    })
}

fn any_value(bytes: &[u8], depth: usize) -> Result<Value, ProtobufError> {
    use base64::Engine as _;
    object(bytes, |value, number, field| {
        let (name, inner) = match number {
            1 => ("stringValue", field.text()?),
            2 => ("boolValue", (field.number()? != 0).into()),
            3 => ("intValue", field.number()?.cast_signed().to_string().into()),
            4 => ("doubleValue", double(f64::from_bits(field.number()?))),
            5 | 6 if depth < DEEPEST => {
                let is_list = number == 5;
                let values = object(field.message()?, |values, number, field| {
                    if number == 1 {
                        let bytes = field.message()?;
                        let value = if is_list {
                            any_value(bytes, depth + 1)?
                        } else {
                            key_value(bytes, depth + 1)?
                        };
                        push(values, "values", value);
                    }
                    Ok(())
                })?;
                let name = if is_list { "arrayValue" } else { "kvlistValue" };
                (name, values)
            }
            7 => {
                let text = base64::engine::general_purpose::STANDARD.encode(field.message()?);
                ("bytesValue", text.into())
            }
            _ => return Ok(()),
        };
        value.insert(name.to_owned(), inner);
        Ok(())
    })
}

/// JSON has no number for these.
fn double(number: f64) -> Value {
    if number.is_nan() {
        json!("NaN")
    } else if number.is_infinite() {
        json!(if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        })
    } else {
        json!(number)
    }
}

/// The earliest start of each trace of an OTLP request in JSON, by the trace's identifier there.
///
/// Whoever reads a trace in several requests gives [`ReadOptions::starts`](crate::ReadOptions::starts)
/// what the first of them said, so that all of them are of one trace.
#[must_use]
pub fn otlp_starts(request: &Value) -> std::collections::BTreeMap<String, opik_core::Timestamp> {
    let mut starts = std::collections::BTreeMap::new();
    let list = |value: &Value, names: &[&str]| -> Vec<Value> {
        names
            .iter()
            .find_map(|name| value.get(*name).and_then(Value::as_array))
            .cloned()
            .unwrap_or_default()
    };
    for group in list(request, &["resourceSpans", "resource_spans"]) {
        for scope in list(
            &group,
            &["scopeSpans", "scope_spans", "instrumentationLibrarySpans"],
        ) {
            for span in list(&scope, &["spans"]) {
                let id = span.get("traceId").and_then(crate::attributes::text);
                let start = crate::otlp::moment(span.get("startTimeUnixNano"));
                let id = id.and_then(|id| crate::otlp::identifier(&id));
                if let (Some(id), Some(start)) = (id, start) {
                    let known = starts.entry(id).or_insert(start);
                    *known = (*known).min(start);
                }
            }
        }
    }
    starts
}
