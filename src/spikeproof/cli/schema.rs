//! `spikeproof schema`: the JSON Schemas of the scenario file and of the report, for editors and
//! for programs that read reports.

use crate::{report, scenario};

/// Prints the JSON Schema of the scenario file or of report.json.
#[derive(Debug, clap::Args)]
pub struct SchemaArgs {
    /// The file that the schema describes
    #[arg(value_enum, default_value_t)]
    file: File,
}

#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum File {
    /// The scenario file
    #[default]
    Scenario,
    /// report.json
    Report,
}

/// The schema as indented text, ending with a newline.
pub fn text(args: &SchemaArgs) -> String {
    let schema = match args.file {
        File::Scenario => scenario::json_schema(),
        File::Report => report::schema::json_schema(),
    };
    format!("{schema:#}\n")
}
