//! When a step or block is carried out: `if: product`, `if: not product`, `if: random(1, 100) <=
//! 30`.

use super::node::Node;
use super::reader::Reader;
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
        Some(after) => (true, text.len() - after.len()),
        None => (false, start),
    };
    let Some((at, length, operator)) = operator(text, from) else {
        return Ok(Condition {
            negated,
            left: expression(text, from..text.len(), known)?,
            comparison: None,
        });
    };
    let left = expression(text, from..at, known)?;
    let right = expression(text, at + length..text.len(), known)?;
    Ok(Condition {
        negated,
        left,
        comparison: Some((operator, right)),
    })
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

    #[test]
    fn conditions_name_a_value_or_compare_two() {
        let variables = vec!["product".to_owned()];
        let known = TemplateScope {
            variables: &variables,
            data: &[],
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
