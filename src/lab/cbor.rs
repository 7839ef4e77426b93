//! CBOR bodies, as the CloudWatch SDK speaks them (Smithy rpc-v2-cbor).

use std::time::Duration;

use aws_smithy_cbor::data::Type;
use aws_smithy_cbor::decode::DeserializeError;
use aws_smithy_cbor::{Decoder, Encoder};
use aws_smithy_types::DateTime;
use serde_json::{Map, Value};

/// An answer's tree: JSON with instants.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cbor {
    Text(String),
    Integer(i32),
    Double(f64),
    Boolean(bool),
    /// An instant since 1970; written with tag 1.
    Instant(Duration),
    List(Vec<Cbor>),
    Map(Vec<(&'static str, Cbor)>),
}

impl Cbor {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn map<const N: usize>(entries: [(&'static str, Cbor); N]) -> Self {
        Self::Map(entries.into())
    }

    pub(crate) fn list(items: impl IntoIterator<Item = Cbor>) -> Self {
        Self::List(items.into_iter().collect())
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::new(Vec::new());
        self.write(&mut encoder);
        encoder.into_writer()
    }

    fn write(&self, encoder: &mut Encoder) {
        match self {
            Self::Text(text) => encoder.str(text),
            Self::Integer(number) => encoder.integer(*number),
            Self::Double(number) => encoder.double(*number),
            Self::Boolean(value) => encoder.boolean(*value),
            Self::Instant(since) => {
                encoder.timestamp(&DateTime::from_secs_f64(since.as_secs_f64()))
            }
            Self::List(items) => {
                encoder.array(items.len());
                for item in items {
                    item.write(encoder);
                }
                encoder
            }
            Self::Map(entries) => {
                encoder.map(entries.len());
                for (key, value) in entries {
                    encoder.str(key);
                    value.write(encoder);
                }
                encoder
            }
        };
    }
}

/// Returns a request's body as JSON; instants become seconds since 1970.
pub(crate) fn decode(body: &[u8]) -> Result<Value, DeserializeError> {
    if body.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    value(&mut Decoder::new(body))
}

fn value(decoder: &mut Decoder<'_>) -> Result<Value, DeserializeError> {
    Ok(match decoder.datatype()? {
        Type::Bool => Value::from(decoder.boolean()?),
        Type::String | Type::StringIndef => Value::from(decoder.string()?),
        Type::U8
        | Type::U16
        | Type::U32
        | Type::U64
        | Type::I8
        | Type::I16
        | Type::I32
        | Type::I64 => Value::from(decoder.long()?),
        Type::F16 | Type::F32 => Value::from(decoder.float()?),
        Type::F64 => Value::from(decoder.double()?),
        Type::Tag => Value::from(decoder.timestamp()?.as_secs_f64()),
        Type::Array | Type::ArrayIndef => Value::Array(list(decoder)?),
        Type::Map | Type::MapIndef => Value::Object(map(decoder)?),
        _ => {
            decoder.skip()?;
            Value::Null
        }
    })
}

fn list(decoder: &mut Decoder<'_>) -> Result<Vec<Value>, DeserializeError> {
    let mut left = decoder.list()?;
    let mut items = Vec::new();
    while more(decoder, &mut left)? {
        items.push(value(decoder)?);
    }
    Ok(items)
}

fn map(decoder: &mut Decoder<'_>) -> Result<Map<String, Value>, DeserializeError> {
    let mut left = decoder.map()?;
    let mut entries = Map::new();
    while more(decoder, &mut left)? {
        let key = decoder.string()?;
        entries.insert(key, value(decoder)?);
    }
    Ok(entries)
}

/// True if another item follows: counted if the length is known, else until the break.
fn more(decoder: &mut Decoder<'_>, left: &mut Option<u64>) -> Result<bool, DeserializeError> {
    match left {
        Some(0) => Ok(false),
        Some(count) => {
            *count -= 1;
            Ok(true)
        }
        None if decoder.datatype()? == Type::Break => {
            decoder.skip()?;
            Ok(false)
        }
        None => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_encoded_is_decoded() {
        let tree = Cbor::map([
            ("Name", Cbor::text("high")),
            ("Period", Cbor::Integer(60)),
            ("Values", Cbor::list([Cbor::Double(1.5), Cbor::Double(2.0)])),
            ("Enabled", Cbor::Boolean(true)),
            (
                "At",
                Cbor::Instant(Duration::from_millis(1_764_000_000_250)),
            ),
        ]);
        assert_eq!(
            decode(&tree.encode()).unwrap(),
            json!({ "Name": "high", "Period": 60, "Values": [1.5, 2.0], "Enabled": true, "At": 1_764_000_000.25 })
        );
        assert_eq!(decode(b"").unwrap(), json!({}));
    }
}
