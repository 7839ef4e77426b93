//! When a step or block is carried out: `if: product`, `if: not product`, `if: random(1, 100) <=
//! 30`.

use std::ops::Range;

use super::literal::literal;
use super::node::Node;
use super::reader::{Reader, closest};
use super::template::{Expression, TemplateFault, TemplateScope, expression};
use crate::json;

/// An `if` of a step or block.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// True if the condition begins with `not`.
    pub negated: bool,
    /// The value, or the left side of the comparison.
    pub left: Expression,
    /// The comparison; if `None`, the value must exist, and be neither empty, `false` nor `0`.
    pub comparison: Option<(Operator, Expression)>,
}

impl Condition {
    /// Returns the data files it draws from.
    pub fn draws(&self) -> Vec<u16> {
        let right = self.comparison.iter().flat_map(|(_, right)| right.data());
        self.left.data().into_iter().chain(right).collect()
    }
}

/// The comparison of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Operator {
    /// Numbers are compared as numbers, with all their digits; anything else as text, such as
    /// `007`, which is no number of JSON.
    pub fn holds(self, left: &str, right: &str) -> bool {
        let order = json::compare(left, right).unwrap_or_else(|| left.cmp(right));
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

pub(super) fn read(
    reader: &mut Reader<'_>,
    node: &Node,
    known: &TemplateScope<'_>,
) -> Option<Condition> {
    let text = reader.text(node)?;
    match parse(&text.value, known) {
        Ok(condition) => Some(condition),
        Err(fault) => {
            reader.report(fault.into_problem(&text, "a condition"));
            None
        }
    }
}

fn parse(text: &str, known: &TemplateScope<'_>) -> Result<Condition, TemplateFault> {
    if let Some(open) = text.find("{{") {
        let help = "write the bare name, like `if: product`".to_owned();
        return Err(TemplateFault {
            range: open..text.len(),
            message: "a condition has no braces".to_owned(),
            help,
        });
    }
    let rest = text.trim_start();
    let start = text.len() - rest.len();
    let (negated, from) = match rest.strip_prefix("not ") {
        Some(after) => (true, text.len() - after.trim_start().len()),
        None => (false, start),
    };
    if let Some(fault) = foreign(text, start, from) {
        return Err(fault);
    }
    if let Some(found) = junction(text, from) {
        let help = "give the step the first comparison, and a block around it the second: `- { if: x == 1, steps: [{ get: /, if: y == 2 }] }`; for `or`, write the step twice";
        return Err(TemplateFault {
            message: format!(
                "a condition is one comparison, without `{}`",
                &text[found.clone()]
            ),
            range: found,
            help: help.to_owned(),
        });
    }
    let Some((at, length, operator)) = operator(text, from) else {
        return Ok(Condition {
            negated,
            left: expression(text, from..text.len(), known)?,
            comparison: None,
        });
    };
    let left = expression(text, from..at, known)?;
    let right = right(text, at + length, known)?;
    Ok(Condition {
        negated,
        left,
        comparison: Some((operator, right)),
    })
}

/// Reads the right side of a comparison: a bare word that names nothing was meant as a text.
fn right(text: &str, from: usize, known: &TemplateScope<'_>) -> Result<Expression, TemplateFault> {
    let word = text[from..].trim();
    let is_word = !word.is_empty()
        && word
            .chars()
            .all(|c| c.is_alphanumeric() || "_-+.:@/%".contains(c));
    // Of `users.email`, the name that must be known.
    let head = word.split('.').next().unwrap_or(word);
    let is_known = known.variables.place(head).is_some() || known.data.file(head).is_some();
    if !is_word || literal(word).is_some() || is_known {
        return expression(text, from..text.len(), known);
    }
    let help = format!("write `{} \"{word}\"` for a text", text[..from].trim());
    let variables = known.variables.all().iter().map(String::as_str);
    let near = closest(head, variables.chain(known.data.names()));
    let start = from + (text[from..].len() - text[from..].trim_start().len());
    Err(TemplateFault {
        range: start..start + word.len(),
        message: format!("nothing called `{word}` is known here"),
        help: match near {
            Some(name) => format!("did you mean `{name}`? Or {help}"),
            None => help,
        },
    })
}

/// Comparisons of other languages, with what to write here. Own ones stand among them without a
/// help, where they begin like another.
const SPELLINGS: [(&str, Option<&str>); 13] = [
    ("===", Some("write `==`")),
    ("!==", Some("write `!=`")),
    ("==", None),
    ("!=", None),
    ("<=", None),
    (">=", None),
    ("=~", Some(COMPARISONS)),
    ("=>", Some("write `>=`")),
    ("=<", Some("write `<=`")),
    ("=", Some("write `==`")),
    (" is ", Some("write `==`")),
    (" in ", Some(COMPARISONS)),
    (" contains ", Some(COMPARISONS)),
];

const COMPARISONS: &str = "compare with `==`, `!=`, `<`, `<=`, `>` or `>=`";

/// Finds what other languages write outside double quotes: `!product`, `'DONE'`, `=`. The condition
/// begins at `start`, and what its `not`, if any, negates at `from`.
fn foreign(text: &str, start: usize, from: usize) -> Option<TemplateFault> {
    let fault = |range: Range<usize>, message: String, help: String| {
        Some(TemplateFault {
            range,
            message,
            help,
        })
    };
    if let Some(rest) = text[from..].strip_prefix('!') {
        let message = "`!` negates nothing here".to_owned();
        // `not !x` negates twice.
        let not = if from > start { "" } else { "not " };
        return fault(
            start..from + 1,
            message,
            format!("write `{not}{}`", rest.trim()),
        );
    }
    let (mut at, mut quoted) = (from, false);
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        quoted ^= c == '"';
        let closed = rest
            .strip_prefix('\'')
            .and_then(|rest| rest.split_once('\''));
        if let (false, Some((inner, _))) = (quoted, closed) {
            let message = "a text is in double quotes".to_owned();
            let range = at..at + inner.len() + 2;
            let inner = inner.trim_matches('"');
            return fault(range, message, format!("write `\"{inner}\"`"));
        }
        let spelling = SPELLINGS.iter().find(|(sign, _)| rest.starts_with(sign));
        at += match spelling {
            Some((sign, Some(help))) if !quoted => {
                let start = at + usize::from(sign.starts_with(' '));
                let message = format!("`{}` is no comparison", sign.trim());
                return fault(
                    start..start + sign.trim().len(),
                    message,
                    (*help).to_owned(),
                );
            }
            Some((sign, None)) if !quoted => sign.len(),
            _ => c.len_utf8(),
        };
    }
    None
}

/// Returns the place of a word outside quotes that would join two comparisons.
fn junction(text: &str, from: usize) -> Option<Range<usize>> {
    let mut quoted = false;
    for (at, c) in text.char_indices().filter(|(at, _)| *at >= from) {
        quoted ^= c == '"';
        let found = [" and ", " or ", "&&", "||"]
            .into_iter()
            .find(|word| !quoted && text[at..].starts_with(word));
        if let Some(word) = found {
            let start = at + usize::from(word.starts_with(' '));
            return Some(start..start + word.trim().len());
        }
    }
    None
}

/// Returns the first operator outside quotes.
fn operator(text: &str, from: usize) -> Option<(usize, usize, Operator)> {
    const OPERATORS: [(&str, Operator); 6] = [
        ("==", Operator::Equal),
        ("!=", Operator::NotEqual),
        ("<=", Operator::LessOrEqual),
        (">=", Operator::GreaterOrEqual),
        ("<", Operator::Less),
        (">", Operator::Greater),
    ];
    let mut quoted = false;
    for (at, c) in text.char_indices().filter(|(at, _)| *at >= from) {
        quoted ^= c == '"';
        let found = OPERATORS
            .iter()
            .find(|(sign, _)| !quoted && text[at..].starts_with(sign));
        if let Some((sign, operator)) = found {
            return Some((at, sign.len(), *operator));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Literal;
    use crate::scenario::names::Tables;

    #[test]
    fn conditions_name_a_value_or_compare_two() {
        let known = TemplateScope {
            variables: &["product"].into_iter().collect(),
            data: &Tables::of(&[]),
        };
        let read = |text| parse(text, &known);
        let product = Expression::Variable(0);
        let plain = |negated, comparison| Condition {
            negated,
            left: product.clone(),
            comparison,
        };
        assert_eq!(read("product"), Ok(plain(false, None)));
        assert_eq!(read(" not product "), Ok(plain(true, None)));
        let open = Expression::Literal(Literal::Text("a < b".to_owned()));
        assert_eq!(
            read("product == \"a < b\""),
            Ok(plain(false, Some((Operator::Equal, open))))
        );
        let thirty = Expression::Literal(Literal::Number("30".to_owned()));
        let chance = Condition {
            negated: false,
            left: Expression::Random(1, 100),
            comparison: Some((Operator::LessOrEqual, thirty)),
        };
        assert_eq!(read("random(1, 100) <= 30"), Ok(chance));
        assert_eq!(
            read("{{ product }}").unwrap_err().help,
            "write the bare name, like `if: product`"
        );
        assert_eq!(read("produkt").unwrap_err().help, "did you mean `product`?");
        for (text, part, help) in [
            (
                "product == DONE",
                "DONE",
                "write `product == \"DONE\"` for a text",
            ),
            (
                "product ==  007 ",
                "007",
                "write `product == \"007\"` for a text",
            ),
            (
                "product == example.com",
                "example.com",
                "write `product == \"example.com\"` for a text",
            ),
            ("product > 5%", "5%", "write `product > \"5%\"` for a text"),
            (
                "product == produkt",
                "produkt",
                "did you mean `product`? Or write `product == \"produkt\"` for a text",
            ),
        ] {
            let fault = read(text).unwrap_err();
            assert_eq!((&text[fault.range], fault.help.as_str()), (part, help));
        }
        for (text, word) in [
            ("product == 1 and product != 2", "and"),
            ("product or product", "or"),
            ("product == 1 && product", "&&"),
        ] {
            let fault = read(text).unwrap_err();
            let message = format!("a condition is one comparison, without `{word}`");
            assert_eq!((&text[fault.range], fault.message), (word, message));
        }
        assert!(read("product == \"this and that\"").is_ok());
    }

    #[test]
    fn spellings_of_other_languages_are_told_with_the_one_to_write() {
        let known = TemplateScope {
            variables: &["product"].into_iter().collect(),
            data: &Tables::of(&[]),
        };
        for (text, part, help) in [
            ("product = 1", "=", "write `==`"),
            ("product === 1", "===", "write `==`"),
            ("not product !== 1", "!==", "write `!=`"),
            ("product is 1", "is", "write `==`"),
            ("product =~ D.*", "=~", COMPARISONS),
            ("product == 'A and B'", "'A and B'", "write `\"A and B\"`"),
            ("'DONE' == product", "'DONE'", "write `\"DONE\"`"),
            ("product == '\"A\"'", "'\"A\"'", "write `\"A\"`"),
            ("!product", "!", "write `not product`"),
            ("not !product", "not !", "write `product`"),
            (" not  !product", "not  !", "write `product`"),
            ("product => 1", "=>", "write `>=`"),
            ("product =< 1", "=<", "write `<=`"),
        ] {
            let fault = parse(text, &known).unwrap_err();
            assert_eq!((&text[fault.range], fault.help.as_str()), (part, help));
        }
        for text in [
            "product == \"a = 'b' is c\"",
            "product <= 1",
            "product >= 1",
            "product != \"!\"",
            "product == \"it's\"",
        ] {
            assert!(parse(text, &known).is_ok(), "{text}");
        }
    }

    #[test]
    fn numbers_are_compared_as_numbers() {
        assert!(Operator::Less.holds("9", "10"));
        assert!(!Operator::Less.holds("b", "a"));
        assert!(Operator::Equal.holds("1.0", "1"));
        assert!(Operator::NotEqual.holds("x", "1"));
        assert!(Operator::NotEqual.holds("9007199254740993", "9007199254740992"));
        assert!(Operator::Equal.holds("1e3", "1000"));
        assert!(Operator::NotEqual.holds("0123", "123"));
    }
}
