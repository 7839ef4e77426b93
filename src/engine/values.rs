//! Puts values into templates.

use base64::Engine as _;
use jiff::Timestamp;
use rand::RngExt as _;
use rand_pcg::Pcg64Mcg;

use model::json;
use model::scenario::{Cell, Condition, DataFile, Escape, Expression, Literal, Segment, Template};

/// A captured value: as text, and whether that text is JSON as it stands (a number, `true`, an
/// object).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapturedValue {
    pub text: Box<str>,
    pub json: bool,
}

impl CapturedValue {
    /// Returns a value out of a JSON document: a string as the text it means, anything else as the
    /// document writes it.
    pub(crate) fn of_json(written: &str) -> Self {
        match json::unquoted(written) {
            Some(text) => Self {
                text: text.into(),
                json: false,
            },
            None => Self {
                text: written.into(),
                json: true,
            },
        }
    }
}

/// The values that templates may read at one moment of a session.
pub struct Values<'a> {
    pub variables: &'a [Option<CapturedValue>],
    pub data: &'a [DataFile],
    /// The row drawn for this iteration, by data file.
    pub rows: &'a [Option<u32>],
    pub session: u64,
    pub iteration: u64,
    pub chance: &'a mut Pcg64Mcg,
}

/// A template names something that is not there now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MissingValue;

/// Why a request is not made.
#[derive(Debug, Clone, PartialEq)]
pub enum NotMade {
    /// It needs a value that is not there now.
    MissingValue,
    /// Its path would have all of an object or a list, which this gives.
    ObjectInPath(Expression),
}

impl From<MissingValue> for NotMade {
    fn from(MissingValue: MissingValue) -> Self {
        Self::MissingValue
    }
}

impl Values<'_> {
    /// Appends the result of the template.
    pub fn render(&mut self, template: &Template, out: &mut Vec<u8>) -> Result<(), MissingValue> {
        for segment in &template.segments {
            match segment {
                Segment::Text(text) => out.extend_from_slice(text),
                Segment::Value(expression, escape) => {
                    let value = self.value(expression)?;
                    put(&value, *escape, out);
                }
            }
        }
        Ok(())
    }

    /// Returns a path and its query. Only the query may have objects: no server reads them elsewhere.
    pub fn path(&mut self, template: &Template) -> Result<String, NotMade> {
        let mut before = template.before_query();
        if let Some(object) = before.find(|expression| self.is_object(expression)) {
            return Err(NotMade::ObjectInPath(object.clone()));
        }
        Ok(self.text(template)?)
    }

    /// True if the value that an expression takes is an object or a list now.
    fn is_object(&self, expression: &Expression) -> bool {
        match expression {
            Expression::Variable(_) => self.captured(expression).is_some_and(is_object),
            Expression::Member(_, path) => self
                .captured(expression)
                .filter(|value| value.json)
                .and_then(|value| json::member(&value.text, path))
                .is_some_and(|found| found.starts_with(['{', '['])),
            Expression::Column(data, column) => {
                let cell = self.cell(*data, *column);
                cell.is_some_and(|cell| cell.is_object())
            }
            Expression::AsText(inner) | Expression::Raw(inner) => self.is_object(inner),
            _ => false,
        }
    }

    /// Returns the captured value that an expression takes, or of which it takes a member.
    fn captured(&self, expression: &Expression) -> Option<&CapturedValue> {
        let (Expression::Variable(index) | Expression::Member(index, _)) = expression else {
            return None;
        };
        self.variables.get(usize::from(*index))?.as_ref()
    }

    fn cell(&self, data: u16, column: u16) -> Option<Cell<'_>> {
        let row = self.rows.get(usize::from(data)).copied().flatten()?;
        let data = self.data.get(usize::from(data))?;
        data.rows.cell(row as usize, usize::from(column))
    }

    pub fn text(&mut self, template: &Template) -> Result<String, MissingValue> {
        let mut out = Vec::new();
        self.render(template, &mut out)?;
        Ok(String::from_utf8_lossy(&out).into_owned())
    }

    pub fn holds(&mut self, condition: &Condition) -> bool {
        let left = self.value(&condition.left);
        let holds = match (&condition.comparison, left) {
            (_, Err(MissingValue)) => false,
            (None, Ok(value)) => !matches!(value.text.as_ref(), "" | "false" | "0" | "null"),
            (Some((operator, right)), Ok(left)) => self
                .value(right)
                .is_ok_and(|right| operator.holds(&left.text, &right.text)),
        };
        holds != condition.negated
    }

    fn value(&mut self, expression: &Expression) -> Result<CapturedValue, MissingValue> {
        let number = |number: &dyn std::fmt::Display| CapturedValue {
            text: number.to_string().into(),
            json: true,
        };
        let text = |text: &str| CapturedValue {
            text: text.into(),
            json: false,
        };
        Ok(match expression {
            Expression::Literal(literal) => of_literal(literal),
            Expression::Variable(_) => self.captured(expression).ok_or(MissingValue)?.clone(),
            Expression::Member(_, path) => {
                let object = self.captured(expression).ok_or(MissingValue)?;
                let found = json::member(&object.text, path).filter(|_| object.json);
                CapturedValue::of_json(found.ok_or(MissingValue)?)
            }
            Expression::Column(data, column) => {
                let cell = self.cell(*data, *column).ok_or(MissingValue)?;
                CapturedValue {
                    text: cell.text.into(),
                    json: cell.json,
                }
            }
            Expression::Random(from, to) => number(&self.chance.random_range(*from..=*to)),
            Expression::Uuid => text(&uuid(self.chance)),
            Expression::Pick(literals) => of_literal(
                literals
                    .get(self.chance.random_range(0..literals.len().max(1)))
                    .ok_or(MissingValue)?,
            ),
            Expression::Now(now) => match now {
                model::scenario::Now::Text => text(&format!("{:.3}", Timestamp::now())),
                model::scenario::Now::Seconds => number(&Timestamp::now().as_second()),
                model::scenario::Now::Millis => number(&Timestamp::now().as_millisecond()),
            },
            Expression::Session => number(&self.session),
            Expression::Iteration => number(&self.iteration),
            Expression::AsText(inner) => CapturedValue {
                json: false,
                ..self.value(inner)?
            },
            Expression::Raw(inner) => self.value(inner)?,
            Expression::Base64(template) => {
                let mut plain = Vec::new();
                self.render(template, &mut plain)?;
                text(&base64::engine::general_purpose::STANDARD.encode(plain))
            }
        })
    }
}

/// True for an object or a list of JSON.
fn is_object(value: &CapturedValue) -> bool {
    value.json && value.text.starts_with(['{', '['])
}

fn of_literal(literal: &Literal) -> CapturedValue {
    match literal {
        Literal::Text(text) => CapturedValue {
            text: text.as_str().into(),
            json: false,
        },
        Literal::Number(number) => CapturedValue {
            text: number.as_str().into(),
            json: true,
        },
        Literal::Bool(value) => CapturedValue {
            text: value.to_string().into(),
            json: true,
        },
    }
}

/// Returns a UUID of version 4 from the session's own random sequence: a seed repeats it.
fn uuid(chance: &mut Pcg64Mcg) -> String {
    let bits = chance.random::<u128>() & !(0xf000_u128 << 64) & !(0xc000_u128 << 48)
        | 0x4000_u128 << 64
        | 0x8000_u128 << 48;
    let hex = format!("{bits:032x}");
    [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-")
}

fn put(value: &CapturedValue, escape: Escape, out: &mut Vec<u8>) {
    match escape {
        Escape::Raw => out.extend_from_slice(value.text.as_bytes()),
        Escape::Percent => out.extend(model::scenario::percent_encoded(&value.text).into_bytes()),
        Escape::Json if value.json => out.extend_from_slice(value.text.as_bytes()),
        Escape::Json => out.extend(
            serde_json::Value::from(value.text.as_ref())
                .to_string()
                .into_bytes(),
        ),
        Escape::JsonText => {
            let quoted = serde_json::Value::from(value.text.as_ref()).to_string();
            out.extend_from_slice(&quoted.as_bytes()[1..quoted.len() - 1]);
        }
        // Characters that would end the header, or begin another, are dropped.
        Escape::Header => out.extend(
            value
                .text
                .bytes()
                .filter(|byte| *byte == b'\t' || *byte >= b' ' && *byte != 0x7f),
        ),
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;
    use model::scenario::{Division, Operator, Order, Rows, WhenUsedUp};

    fn rendered(expression: Expression, escape: Escape) -> Result<String, MissingValue> {
        let data = [DataFile {
            name: "users".to_owned(),
            columns: vec!["email".to_owned()],
            rows: Rows::of(1, &[&["a"], &["b@c"]]),
            order: Order::Sequential,
            when_used_up: WhenUsedUp::Recycle,
            division: Division::OverRun,
            file: String::new(),
        }];
        let variables = [
            Some(CapturedValue {
                text: "a \"b\"\r\n/ü".into(),
                json: false,
            }),
            Some(CapturedValue {
                text: "7".into(),
                json: true,
            }),
            None,
            Some(CapturedValue {
                text: r#"{"id": 9007199254740993, "tags": ["a b", 0.10]}"#.into(),
                json: true,
            }),
        ];
        let mut chance = Pcg64Mcg::seed_from_u64(1);
        let mut values = Values {
            variables: &variables,
            data: &data,
            rows: &[Some(1)],
            session: 3,
            iteration: 4,
            chance: &mut chance,
        };
        values.text(&Template {
            segments: vec![Segment::Value(expression, escape)],
            ..Template::default()
        })
    }

    #[test]
    fn values_are_escaped_for_their_place() {
        let text = Expression::Variable(0);
        for (escape, wanted) in [
            (Escape::Raw, "a \"b\"\r\n/ü"),
            (Escape::Percent, "a%20%22b%22%0D%0A%2F%C3%BC"),
            (Escape::JsonText, "a \\\"b\\\"\\r\\n/ü"),
            (Escape::Json, "\"a \\\"b\\\"\\r\\n/ü\""),
            (Escape::Header, "a \"b\"/ü"),
        ] {
            assert_eq!(
                rendered(text.clone(), escape).as_deref(),
                Ok(wanted),
                "{escape:?}"
            );
        }
        assert_eq!(
            rendered(Expression::Variable(1), Escape::Json).as_deref(),
            Ok("7")
        );
        assert_eq!(
            rendered(
                Expression::AsText(Box::new(Expression::Variable(1))),
                Escape::Json
            )
            .as_deref(),
            Ok("\"7\"")
        );
        assert_eq!(
            rendered(Expression::Column(0, 0), Escape::Percent).as_deref(),
            Ok("b%40c")
        );
        assert_eq!(
            rendered(Expression::Base64(Template::text("user:pw")), Escape::Raw).as_deref(),
            Ok("dXNlcjpwdw==")
        );
        assert_eq!(
            rendered(Expression::Variable(2), Escape::Raw),
            Err(MissingValue)
        );
    }

    #[test]
    fn a_captured_object_gives_its_members_as_they_are_written() {
        let member = |names: &[&str]| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            Expression::Member(3, names)
        };
        for (names, escape, wanted) in [
            (vec!["id"], Escape::Json, Ok("9007199254740993")),
            (vec!["tags", "1"], Escape::Json, Ok("0.10")),
            (vec!["tags", "0"], Escape::Percent, Ok("a%20b")),
            (vec!["tags", "0"], Escape::Json, Ok("\"a b\"")),
            (vec!["price"], Escape::Raw, Err(MissingValue)),
            (vec!["id", "x"], Escape::Raw, Err(MissingValue)),
        ] {
            let rendered = rendered(member(&names), escape);
            assert_eq!(rendered.as_deref(), wanted.as_ref().copied(), "{names:?}");
        }
        let text = rendered(Expression::Member(0, vec!["id".to_owned()]), Escape::Raw);
        assert_eq!(text, Err(MissingValue), "a text has no members");
    }

    #[test]
    fn a_path_has_no_object_before_its_query() {
        let value = |expression| Segment::Value(expression, Escape::Percent);
        let text = |text: &str| Segment::Text(text.as_bytes().to_vec());
        let member = |name: &str| Expression::Member(0, vec![name.to_owned()]);
        let object = CapturedValue {
            text: r#"{"id":7,"tags":["a"]}"#.into(),
            json: true,
        };
        // A text stays one, whatever it looks like.
        let looks_like_one = CapturedValue {
            text: "{}".into(),
            json: false,
        };
        let mut chance = Pcg64Mcg::seed_from_u64(1);
        let mut values = Values {
            variables: &[Some(object), Some(looks_like_one), None],
            data: &[],
            rows: &[],
            session: 0,
            iteration: 0,
            chance: &mut chance,
        };
        let refused = |expression| Err(NotMade::ObjectInPath(expression));
        for (segments, made) in [
            (vec![text("/"), value(member("id"))], Ok("/7")),
            (vec![value(Expression::Variable(1))], Ok("%7B%7D")),
            (
                vec![text("/a?all="), value(member("tags"))],
                Ok("/a?all=%5B%22a%22%5D"),
            ),
            (vec![value(member("tags"))], refused(member("tags"))),
            (
                vec![
                    text("/"),
                    value(Expression::Raw(Box::new(Expression::Variable(0)))),
                    text("?x"),
                ],
                refused(Expression::Raw(Box::new(Expression::Variable(0)))),
            ),
            (
                vec![value(Expression::Variable(2))],
                Err(NotMade::MissingValue),
            ),
        ] {
            let template = Template {
                segments,
                ..Template::default()
            };
            assert_eq!(
                values.path(&template),
                made.map(str::to_owned),
                "{template:?}"
            );
        }
    }

    #[test]
    fn a_uuid_is_a_version_4_and_follows_the_seed() {
        let uuid = rendered(Expression::Uuid, Escape::Raw).unwrap();
        assert_eq!(uuid.len(), 36);
        assert_eq!(uuid.as_bytes()[14], b'4');
        assert!(b"89ab".contains(&uuid.as_bytes()[19]), "{uuid}");
        assert_eq!(rendered(Expression::Uuid, Escape::Raw).unwrap(), uuid);
    }

    #[test]
    fn a_missing_value_is_no_value_whatever_it_is_compared_with() {
        let mut chance = Pcg64Mcg::seed_from_u64(1);
        let variables = [
            None,
            Some(CapturedValue {
                text: "3".into(),
                json: true,
            }),
        ];
        let mut values = Values {
            variables: &variables,
            data: &[],
            rows: &[],
            session: 0,
            iteration: 0,
            chance: &mut chance,
        };
        let mut holds = |negated, left, comparison| {
            values.holds(&Condition {
                negated,
                left,
                comparison,
            })
        };
        let four = || Expression::Literal(Literal::Number("4".to_owned()));
        assert!(!holds(false, Expression::Variable(0), None));
        assert!(holds(true, Expression::Variable(0), None));
        assert!(holds(false, Expression::Variable(1), None));
        assert!(!holds(
            false,
            Expression::Variable(0),
            Some((Operator::Less, four()))
        ));
        assert!(holds(
            false,
            Expression::Variable(1),
            Some((Operator::Less, four()))
        ));
    }
}
