//! `spikeproof schema`: the JSON Schema of the scenario file, for editors.

use crate::scenario;

/// The schema as indented text, ending with a newline.
pub fn text() -> String {
    format!("{:#}\n", scenario::json_schema())
}
