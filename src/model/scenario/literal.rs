//! Values that a template or condition writes itself.

use super::Literal;
use crate::json;

/// Returns the items of a list in brackets.
pub(super) fn literals(arguments: &str) -> Option<Vec<Literal>> {
    let list = arguments.trim().strip_prefix('[')?.strip_suffix(']')?;
    split(list)
        .into_iter()
        .map(|item| literal(item.trim()))
        .collect()
}

/// Splits at commas outside quotes.
fn split(list: &str) -> Vec<&str> {
    let (mut items, mut from, mut quoted) = (Vec::new(), 0, false);
    for (at, c) in list.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => {
                items.push(&list[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    items.push(&list[from..]);
    items
}

/// Reads `"text"`, a number, `true` or `false`.
pub(super) fn literal(text: &str) -> Option<Literal> {
    if let Some(inner) = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    {
        return (!inner.contains('"')).then(|| Literal::Text(inner.to_owned()));
    }
    match text {
        "true" => Some(Literal::Bool(true)),
        "false" => Some(Literal::Bool(false)),
        number if number.starts_with(|c: char| c.is_ascii_digit() || c == '-') => {
            json::is_number(number).then(|| Literal::Number(number.to_owned()))
        }
        _ => None,
    }
}
