//! `spikeproof init`: writes a commented scenario.

use std::io::Write as _;
use std::path::PathBuf;

use clap::ValueEnum;

use super::CommandOutput;
use crate::outcome::Exit;
use crate::scenario::{self, TestKind};

/// Writes a commented scenario to start from.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct InitArgs {
    /// The URL of the target
    #[arg(value_name = "URL")]
    url: String,
    /// The question that the test answers
    #[arg(long, value_enum, default_value_t = KindArg::Load)]
    kind: KindArg,
    /// The file to write [default: KIND.yaml]; `-` writes to stdout
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum KindArg {
    /// Does the target answer correctly?
    Smoke,
    /// Does it carry the load of a busy hour within its limits?
    Load,
    /// At which load does it exceed its limits?
    Stress,
    /// Does the group detect a spike, scale out in time, and scale in afterwards?
    Spike,
    /// Does anything leak, fill up or slow down over hours?
    Soak,
}

pub(super) fn run(args: &InitArgs) -> CommandOutput {
    let kind = match args.kind {
        KindArg::Smoke => TestKind::Smoke,
        KindArg::Load => TestKind::Load,
        KindArg::Stress => TestKind::Stress,
        KindArg::Spike => TestKind::Spike,
        KindArg::Soak => TestKind::Soak,
    };
    let url = match scenario::url(&args.url) {
        Ok(url) => url,
        Err(why) => return CommandOutput::error(why, Exit::Usage),
    };
    let text = kind.scenario(&url);
    let file = args
        .output
        .clone()
        .unwrap_or_else(|| format!("{}.yaml", kind.word()).into());
    if file.as_os_str() == "-" {
        return CommandOutput::out(text, Exit::Passed);
    }
    // An existing file is never overwritten: it may be somebody's work.
    let written =
        std::fs::File::create_new(&file).and_then(|mut file| file.write_all(text.as_bytes()));
    let name = file.display();
    match written {
        Ok(()) => CommandOutput::out(
            format!("wrote {name}\nnext  spikeproof check {name}\n"),
            Exit::Passed,
        ),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => CommandOutput::error(
            format!("{name} already exists: remove it, or choose another file with --output"),
            Exit::Usage,
        ),
        Err(error) => CommandOutput::error(format!("cannot write {name}: {error}"), Exit::Usage),
    }
}
