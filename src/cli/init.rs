//! `spikeproof init`

use std::io::Write as _;
use std::path::PathBuf;

use clap::ValueEnum;

use super::Answer;
use crate::outcome::Exit;
use crate::scenario::{self, Kind};

/// Writes a commented scenario to begin with.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Where the target answers
    #[arg(value_name = "URL")]
    url: String,
    /// Which question the test answers
    #[arg(long, value_enum, default_value_t = KindArg::Load)]
    kind: KindArg,
    /// Where to write it [default: KIND.yaml]; `-` is stdout
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum KindArg {
    /// Does the target answer at all, and as it should?
    Smoke,
    /// Does it carry the load of a busy hour within its limits?
    Load,
    /// At which step does it stop keeping its limits?
    Stress,
    /// Does the group notice a spike, grow in time, and come back?
    Spike,
    /// Does anything leak, fill up or slow down over hours?
    Soak,
}

pub fn run(args: &Args) -> Answer {
    let kind = match args.kind {
        KindArg::Smoke => Kind::Smoke,
        KindArg::Load => Kind::Load,
        KindArg::Stress => Kind::Stress,
        KindArg::Spike => Kind::Spike,
        KindArg::Soak => Kind::Soak,
    };
    let url = match scenario::url(&args.url) {
        Ok(url) => url,
        Err(why) => return Answer::error(why, Exit::Usage),
    };
    let text = kind.scenario(&url);
    let file = args
        .output
        .clone()
        .unwrap_or_else(|| format!("{}.yaml", kind.word()).into());
    if file.as_os_str() == "-" {
        return Answer::out(text, Exit::Passed);
    }
    // Somebody's work is never overwritten.
    let written =
        std::fs::File::create_new(&file).and_then(|mut file| file.write_all(text.as_bytes()));
    let name = file.display();
    match written {
        Ok(()) => Answer::out(
            format!("wrote {name}\nnext  spikeproof check {name}\n"),
            Exit::Passed,
        ),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Answer::error(
            format!("{name} is there already: remove it, or name another with --output"),
            Exit::Usage,
        ),
        Err(error) => Answer::error(format!("cannot write {name}: {error}"), Exit::Usage),
    }
}
