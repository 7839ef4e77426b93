//! Objects that stand whole in a path: as JSON, which no server understands there.
//!
//! It leaves out what only a run can tell: a value captured out of an answer may be an object. Then
//! the request is not sent, with a reason of its own.

use std::ops::Range;

use super::data::shown_columns;
use super::names::Tables;
use super::reader::Reader;
use super::{Expression, Flow, Problem, Step};

/// Reports each path of a flow that takes a whole object. `places` has the place of each step's
/// path.
pub(super) fn report(
    reader: &mut Reader<'_>,
    flow: &Flow,
    data: &Tables<'_>,
    places: &[Range<usize>],
) {
    report_captures(reader, flow, places);
    report_cells(reader, flow, data, places);
}

/// Reports each path that takes the whole of a captured value of which another place takes a member.
fn report_captures(reader: &mut Reader<'_>, flow: &Flow, places: &[Range<usize>]) {
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
        for variable in step.path.before_query().filter_map(Expression::whole) {
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

/// Reports each path that takes a cell of a data file whose column has objects or lists. Members of
/// these have no name.
fn report_cells(reader: &mut Reader<'_>, flow: &Flow, data: &Tables<'_>, places: &[Range<usize>]) {
    for (step, place) in flow.steps.iter().zip(places) {
        for (file, column) in step.path.before_query().filter_map(Expression::cell) {
            let Some(file) = data.at(file) else { continue };
            let Some(row) = file.rows.first_object(usize::from(column)) else {
                continue;
            };
            let name = shown_columns(&file.columns)
                .and_then(|columns| columns.get(usize::from(column)))
                .map_or("column", String::as_str);
            let message = format!(
                "the path has all of `{}.{name}`, and row {} of that file has an object or a list there",
                file.name,
                row + 1
            );
            reader.report(
                Problem::new(place.clone(), message)
                    .help("give the part that the path needs a column of its own"),
            );
        }
    }
}
