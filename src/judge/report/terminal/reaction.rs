//! Writes the group's reaction as terminal text.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;

use crate::report::words;
use evidence::{LaunchReason, Moment, OpenLink, Reaction, Sighting, Why};
use model::units;

pub(super) fn write_reaction(
    out: &mut String,
    reaction: &Reaction,
    started: Option<Timestamp>,
) -> std::fmt::Result {
    writeln!(
        out,
        "\nreaction: {} instances, {} at most, {} at the end (limit {})",
        reaction.desired_before, reaction.desired_peak, reaction.desired_after, reaction.max
    )?;
    if reaction.spikes.is_empty() {
        let out_chain = (reaction.out.as_slice(), reaction.out_took);
        write_chain(out, "scale-out", OUT_COUNTED, out_chain, started)?;
        write_open(out, &reaction.open)?;
        let in_chain = (reaction.back.as_slice(), reaction.in_took);
        write_chain(out, "scale-in", IN_COUNTED, in_chain, started)?;
    }
    for spike in &reaction.spikes {
        let (grew, shrank) = (
            format!("{}: scale-out", spike.name),
            format!("{}: scale-in", spike.name),
        );
        let out_chain = (spike.out.as_slice(), spike.out_took);
        write_chain(out, &grew, OUT_COUNTED, out_chain, started)?;
        write_open(out, &spike.open)?;
        let in_chain = (spike.back.as_slice(), spike.in_took);
        write_chain(out, &shrank, IN_COUNTED, in_chain, started)?;
    }
    write_resized(out, reaction, started)?;
    write_launched(out, reaction, started)?;
    write_left(out, reaction, started)
}

/// Writes one line for each new instance.
fn write_launched(
    out: &mut String,
    reaction: &Reaction,
    started: Option<Timestamp>,
) -> std::fmt::Result {
    let load = |at: Timestamp| started.map_or(0.0, |started| seconds(started, at));
    if !reaction.launched.is_empty() {
        writeln!(
            out,
            "  each new instance         launched  in service   healthy  1st answer   (seconds since the start, then after the launch)"
        )?;
    }
    for one in &reaction.launched {
        let after = |at: Option<Timestamp>| match at {
            Some(at) => format!("+{:.1}s", seconds(one.launched.at, at)),
            None => "not seen".to_owned(),
        };
        let service = after(one.in_service.map(|seen| seen.at));
        let healthy = after(one.healthy.map(|seen| seen.at));
        let answer = one
            .first_answer
            .map_or("-".to_owned(), |at| after(Some(at)));
        let note = match one.why {
            LaunchReason::Grew => "",
            LaunchReason::Replaced => "  replaces one that left",
            LaunchReason::Refreshed => "  by an instance refresh",
            LaunchReason::Rebalanced => "  to balance zones or Spot capacity",
            LaunchReason::Unknown => "  growth or replacement: cannot tell",
        };
        writeln!(
            out,
            "    {:<22} {:>8.1}s {service:>11} {healthy:>9} {answer:>11}{note}",
            short(&one.id),
            load(one.launched.at)
        )?;
    }
    Ok(())
}

/// Writes one line for each instance that left.
fn write_left(
    out: &mut String,
    reaction: &Reaction,
    started: Option<Timestamp>,
) -> std::fmt::Result {
    let load = |at: Timestamp| started.map_or(0.0, |started| seconds(started, at));
    if !reaction.left.is_empty() {
        writeln!(
            out,
            "  each that left               began    draining      gone   (seconds since the start, then after it began)"
        )?;
    }
    for one in &reaction.left {
        let after = |seen: Option<Sighting>| match seen {
            Some(seen) => format!("+{:.1}s", seconds(one.began.at, seen.at)),
            None => "not seen".to_owned(),
        };
        let why = match one.why {
            Why::ScaledIn => "scaled in",
            Why::FailedChecks => "failed its health checks",
            Why::ByHand => "terminated by hand",
            Why::Refreshed => "replaced by an instance refresh",
            Why::Rebalanced => "to balance zones or Spot capacity",
            Why::Other => "for another reason",
        };
        let (draining, gone) = (after(one.draining), after(one.gone));
        writeln!(
            out,
            "    {:<22} {:>8.1}s {draining:>11} {gone:>9}   {why}",
            short(&one.id),
            load(one.began.at)
        )?;
    }
    Ok(())
}

/// The two moments between which the time of each chain counts.
const OUT_COUNTED: &str = "breach to in service";
const IN_COUNTED: &str = "load drop to the first leaving";

fn write_chain(
    out: &mut String,
    title: &str,
    counted: &str,
    (moments, took): (&[Moment], Option<Duration>),
    started: Option<Timestamp>,
) -> std::fmt::Result {
    if moments.is_empty() {
        return Ok(());
    }
    let took = took.map(|took| format!("{} from {counted}", units::duration(took)));
    writeln!(
        out,
        "  {title}: {}",
        took.unwrap_or_else(|| "not measured".to_owned())
    )?;
    for (index, moment) in moments.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|index| moments.get(index));
        writeln!(out, "    {}", moment_line(moment, before, started))?;
    }
    Ok(())
}

/// Writes the links that were not seen, or that differ from the expected order.
fn write_open(out: &mut String, open: &[OpenLink]) -> std::fmt::Result {
    for link in open {
        writeln!(out, "    - {}", words::link(link))?;
    }
    Ok(())
}

/// Writes every change of size with the moments of its chain.
fn write_resized(
    out: &mut String,
    reaction: &Reaction,
    started: Option<Timestamp>,
) -> std::fmt::Result {
    if reaction.resized.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "  each change of size         breach     alarm   decided      done   (seconds since the start)"
    )?;
    for one in &reaction.resized {
        let since = |at: Option<Timestamp>| match at.zip(started) {
            Some((at, started)) => format!("{:.1}s", seconds(started, at)),
            None => "-".to_owned(),
        };
        let size = format!("{} -> {}", one.from, one.to);
        let (breach, alarm) = (since(one.breach), since(one.alarm));
        let by = one.policy.as_deref().unwrap_or("no policy");
        let (decided, done) = (since(Some(one.at)), since(one.done));
        writeln!(
            out,
            "    {size:<22} {breach:>9} {alarm:>9} {decided:>9} {done:>9}   {by}"
        )?;
    }
    Ok(())
}

/// Returns the time in seconds, rounded to a tenth. The `+ 0.0` turns -0 into 0.
fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    (to.duration_since(from).as_secs_f64() * 10.0).round() / 10.0 + 0.0
}

/// Returns the beginning of a long id, such as a task's; it suffices to tell ids apart.
fn short(id: &str) -> &str {
    id.get(..22).unwrap_or(id)
}

/// Returns the moment's time, the time since the moment before it, and its resolution. A period
/// that the load made breach may begin before the load rose; then the time between the two is 0.
fn moment_line(moment: &Moment, before: Option<&Moment>, started: Option<Timestamp>) -> String {
    let second = started.map_or(0.0, |started| seconds(started, moment.at));
    let link = before.map_or(String::new(), |before| {
        format!("+{:.1}s", seconds(before.at, moment.at).max(0.0))
    });
    let clock = moment.at.strftime("%H:%M:%S%.3f");
    let within = units::duration(moment.resolution);
    format!(
        "{clock}  {second:>7.1}s {link:>8}  {:<18} ±{within:<6} {}",
        moment.kind,
        words::source(moment)
    )
}
