//! Two builds of spikeproof beside each other: what a change costs the engine. `make builds` runs it.
//!
//! Both run the same scenarios against the same server, in alternating rounds, each build first in
//! every other one: so a machine that grows warm favours neither. Each is the whole program with one
//! local task, because every version has that. Prints the ratio of the medians, and the lowest and
//! highest ratio of one round: a difference within them is none.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use super::{
    Bench, Figures, Outcome, SECONDS, children_seconds, figures, free_ports, pinned, serve,
};

/// Odd: in one more round than the others one build is first, which the median does not see.
const ROUNDS: usize = 9;

/// A name and the members of a scenario beside its name and target.
const SCENARIOS: [(&str, &str); 3] = [
    ("fixed", "steps: [{ get: /, check: { status: 200 } }]"),
    (
        "changing",
        "steps: [{ post: \"/{{ session() }}\", json: { n: \"{{ iteration() }}\" }, check: { status: 200 } }]",
    ),
    (
        "captured",
        "steps: [{ get: /, capture: { id: \"$.items[0].id\" } }, { get: \"/{{ id }}\", check: { json: { $.open: true } } }]",
    ),
];

/// Compares two builds, and prints their figures.
pub(super) fn compare(base: &Path, ours: &Path) -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let ports = free_ports()?;
    let server = serve(folder.path(), ports)?;
    let bench = Bench::without_peers(folder.path(), server, ports);
    for (name, steps) in SCENARIOS {
        let scenario = format!(
            "name: b\ntarget: {{ url: \"{}\" }}\nphases: [{{ users: 64, hold: {SECONDS}s, burst: true }}]\n{steps}\n",
            bench.url()
        );
        let file = folder.path().join("builds.yaml");
        std::fs::write(&file, scenario)?;
        let (mut of_base, mut of_ours) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            if round % 2 == 0 {
                of_base.push(round_of(base, &file)?);
                of_ours.push(round_of(ours, &file)?);
            } else {
                of_ours.push(round_of(ours, &file)?);
                of_base.push(round_of(base, &file)?);
            }
        }
        let rate = |round: &Figures| round.per_second;
        say(
            &format!("{name}-requests-per-second"),
            &of_ours,
            &of_base,
            rate,
        )?;
        let cpu = |round: &Figures| round.cpu_micros;
        say(&format!("{name}-cpu-per-request"), &of_ours, &of_base, cpu)?;
        let p95 = |round: &Figures| round.p95_micros;
        say(&format!("{name}-p95"), &of_ours, &of_base, p95)?;
    }
    Ok(())
}

/// Runs a scenario with one build, and reads its report.
fn round_of(program: &Path, scenario: &Path) -> Outcome<Figures> {
    let runs = tempfile::tempdir()?;
    let before = children_seconds()?;
    let mut command = pinned(program);
    command
        .args(["run", "--fleet", "local", "--tasks", "1", "--runs-dir"])
        .arg(runs.path())
        .arg(scenario)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // A generator that is at its limit makes a run inconclusive; here it must be.
    let status = command.status()?;
    let cpu = children_seconds()? - before;
    let run = std::fs::read_dir(runs.path())?
        .next()
        .ok_or_else(|| format!("{command:?}: {status}, and no run"))??;
    let report = std::fs::read(run.path().join("report.json"))?;
    let report: serde_json::Value = serde_json::from_slice(&report)?;
    let whole = &report["load"]["whole"];
    let number = |value: &serde_json::Value| value.as_f64().unwrap_or_default();
    let ok = number(&whole["tally"]["ok"]);
    let per_second = number(&whole["per_second"]);
    if ok < 0.999 * per_second * SECONDS as f64 || ok == 0.0 {
        return Err(format!("{command:?}: {status}, and requests failed").into());
    }
    Ok(Figures {
        per_second,
        cpu_micros: cpu * 1e6 / ok,
        p95_micros: number(&whole["p95_us"]),
        ..Figures::default()
    })
}

fn say(
    name: &str,
    ours: &[Figures],
    base: &[Figures],
    of: impl Fn(&Figures) -> f64,
) -> Outcome<()> {
    let ratios = ours
        .iter()
        .zip(base)
        .map(|(ours, base)| of(ours) / of(base));
    let (lowest, highest) = ratios.fold((f64::INFINITY, 0.0_f64), |(low, high), ratio| {
        (low.min(ratio), high.max(ratio))
    });
    let (ours, base) = (figures(ours, &of), figures(base, &of));
    writeln!(
        std::io::stdout(),
        "{name} ours={ours:.1} base={base:.1} ratio={:.3} rounds={lowest:.3}..{highest:.3}",
        ours / base
    )?;
    Ok(())
}
