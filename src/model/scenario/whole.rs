//! Captured objects that stand whole in a path: as JSON, which no server understands there.

use std::ops::Range;

use super::reader::Reader;
use super::{Flow, Problem, Step, Template};

/// Reports each path of a flow that takes the whole of a value of which another place takes a
/// member. `places` has the place of each step's path.
pub(super) fn report(reader: &mut Reader<'_>, flow: &Flow, places: &[Range<usize>]) {
    let mut objects: Vec<Option<String>> = vec![None; flow.variables.len()];
    for (variable, names) in flow.steps.iter().flat_map(Step::members) {
        if let Some(known) = objects.get_mut(usize::from(variable)) {
            known.get_or_insert_with(|| names.join("."));
        }
    }
    if objects.iter().all(Option::is_none) {
        return;
    }
    for (step, place) in flow.steps.iter().zip(places) {
        for variable in before_query(&step.path) {
            let variable = usize::from(variable);
            let name = flow.variables.get(variable);
            let member = objects.get(variable).and_then(Option::as_ref);
            let (Some(name), Some(member)) = (name, member) else {
                continue;
            };
            // A name that is captured twice may be an object at one time, and a text at another.
            let captures = flow.steps.iter().flat_map(|step| &step.captures);
            if captures.filter(|capture| capture.name == *name).count() == 1 {
                let message = format!(
                    "the path has all of `{name}`, and elsewhere this flow takes a member of it"
                );
                reader.report(
                    Problem::new(place.clone(), message)
                        .help(format!("name the member, like `{{{{ {name}.{member} }}}}`")),
                );
            }
        }
    }
}

/// Returns the captured values that stand whole in a path, before its query.
fn before_query(path: &Template) -> Vec<u16> {
    let parts = path.segments.iter();
    let before = parts.take_while(|part| match part {
        super::Segment::Text(text) => !text.contains(&b'?'),
        super::Segment::Value(..) => true,
    });
    let values = before.filter_map(|part| match part {
        super::Segment::Value(expression, _) => expression.whole(),
        super::Segment::Text(_) => None,
    });
    values.collect()
}
