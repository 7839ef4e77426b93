//! CBOR bodies, as the CloudWatch SDK speaks them (Smithy rpc-v2-cbor).

use aws_smithy_cbor::data::Type;
use aws_smithy_cbor::decode::DeserializeError;
use aws_smithy_cbor::{Decoder, Encoder};
use aws_smithy_types::DateTime;
use serde_json::{Map, Value};

use super::tree::Tree;

/// Returns an answer's body; instants have tag 1.
pub(crate) fn encode(tree: &Tree) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new());
    write(tree, &mut encoder);
    encoder.into_writer()
}

fn write(tree: &Tree, encoder: &mut Encoder) {
    match tree {
        Tree::Text(text) => encoder.str(text),
        Tree::Integer(number) => encoder.integer(*number),
        Tree::Double(number) => encoder.double(*number),
        Tree::Boolean(value) => encoder.boolean(*value),
        Tree::Instant(since) => encoder.timestamp(&DateTime::from_secs_f64(since.as_secs_f64())),
        Tree::List(items) => {
            encoder.array(items.len());
            for item in items {
                write(item, encoder);
            }
            encoder
        }
        Tree::Map(entries) => {
            encoder.map(entries.len());
            for (key, value) in entries {
                encoder.str(key);
                write(value, encoder);
            }
            encoder
        }
    };
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
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        let tree = Tree::map([
            ("Name", Tree::text("high")),
            ("Period", Tree::Integer(60)),
            ("Values", Tree::list([Tree::Double(1.5), Tree::Double(2.0)])),
            ("Enabled", Tree::Boolean(true)),
            (
                "At",
                Tree::Instant(Duration::from_millis(1_764_000_000_250)),
            ),
        ]);
        assert_eq!(
            decode(&encode(&tree)).unwrap(),
            json!({ "Name": "high", "Period": 60, "Values": [1.5, 2.0], "Enabled": true, "At": 1_764_000_000.25 })
        );
        assert_eq!(decode(b"").unwrap(), json!({}));
    }
}
