//! Shows the run as it happens: on a terminal as a block that redraws itself, elsewhere as lines.
//!
//! Without a terminal it is never silent for long, because people watch CI logs. A failure to write
//! never fails the run.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

use super::latency;
use model::events::{Event, Phase, Progress};
use model::{units, visible};

/// Time between two progress lines where there is no terminal.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// Shows events until the sender is dropped. Everything goes to stderr: stdout is for the result.
pub async fn show(mut events: UnboundedReceiver<Event>) {
    let mut view = View::new();
    while let Some(event) = events.recv().await {
        view.see(&event);
    }
    view.bar.finish_and_clear();
}

/// Indent of further lines below the text of a line, which begins with its time.
const INDENT: &str = "          ";

struct View {
    bar: ProgressBar,
    terminal: bool,
    begun: Instant,
    last_progress: Option<Instant>,
    /// The last lines about tasks and group. Every poll reports these, and only changes are shown.
    shown: [Option<String>; 2],
}

impl View {
    fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target = if terminal {
            ProgressDrawTarget::stderr_with_hz(5)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        bar.set_style(
            ProgressStyle::with_template("{spinner} {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.enable_steady_tick(Duration::from_millis(200));
        Self {
            bar,
            terminal,
            begun: Instant::now(),
            last_progress: None,
            shown: Default::default(),
        }
    }

    fn see(&mut self, event: &Event) {
        if let Event::Progress(progress) = event {
            return self.progress(progress);
        }
        let Some(line) = line(event) else { return };
        let last = match event {
            Event::Tasks { .. } => Some(&mut self.shown[0]),
            Event::Group { .. } => Some(&mut self.shown[1]),
            _ => None,
        };
        if last.is_none_or(|last| last.replace(line.clone()).as_ref() != Some(&line)) {
            self.print(&line);
        }
        if let Event::PhaseBegan { phase } = event {
            self.bar.set_message(phase.word().to_owned());
        }
    }

    fn progress(&mut self, progress: &Progress) {
        let text = progress_line(progress);
        if self.terminal {
            return self.bar.set_message(visible::text(&text));
        }
        if self
            .last_progress
            .is_none_or(|last| last.elapsed() >= PLAIN_EVERY)
        {
            self.last_progress = Some(Instant::now());
            self.print(&text);
        }
    }

    fn print(&self, line: &str) {
        let line = format!("{:>7.1}s  {line}", self.begun.elapsed().as_secs_f64());
        if self.terminal {
            self.bar.suspend(|| write_line(&line));
        } else {
            write_line(&line);
        }
    }
}

/// A closed stderr is no reason to end a run, so the error is dropped.
fn write_line(line: &str) {
    drop(writeln!(std::io::stderr(), "{}", visible::text(line)));
}

fn progress_line(progress: &Progress) -> String {
    let Progress {
        elapsed,
        of,
        load_phase,
        requests_per_second,
        errors_per_second,
        ..
    } = progress;
    let percentile = |value: Option<Duration>| latency(value.map(|value| value.as_micros() as u64));
    let group = match (progress.in_service, progress.desired) {
        (Some(in_service), Some(desired)) => {
            format!(" · group {in_service} in service of {desired} desired")
        }
        _ => String::new(),
    };
    format!(
        "load  {:>3.0}/{:.0}s {load_phase:<12} {requests_per_second:>7.0} req/s {errors_per_second:>5.0} err/s  \
         p50 {} p95 {} p99 {} · {}{group}",
        elapsed.as_secs_f64(),
        of.as_secs_f64(),
        percentile(progress.p50),
        percentile(progress.p95),
        percentile(progress.p99),
        units::count(progress.tasks, "task"),
    )
}

/// Returns the line for an event, or `None` for events that only feed the block.
fn line(event: &Event) -> Option<String> {
    Some(match event {
        Event::RunNamed { run, folder, reap } => {
            let reap = reap.as_ref().map_or(String::new(), |here| {
                format!("\n{INDENT}if this is cut off: {here}\n{INDENT}and from any other machine: spikeproof reap {run} --discover")
            });
            format!("run {run}\n{INDENT}folder {}{reap}", folder.display())
        }
        Event::PhaseBegan {
            phase: Phase::Judge | Phase::Collect,
        } => return None,
        Event::PhaseBegan { phase } => format!("{} ...", phase.word()),
        Event::PhaseEnded { phase, took } => {
            format!("{} done in {}", phase.word(), units::duration(*took))
        }
        Event::Planned {
            tasks,
            peak,
            duration,
            estimate,
        } => {
            let cost = estimate
                .map(|usd| format!(", about {usd}"))
                .unwrap_or_default();
            let tasks = units::count(*tasks, "task");
            format!(
                "plan: {tasks}, peak {peak}, load {}{cost}",
                units::duration(*duration)
            )
        }
        Event::Resource {
            action,
            address,
            took,
        } => {
            let took = took
                .map(|took| format!(" ({})", units::duration(took)))
                .unwrap_or_default();
            format!("  {action} {address}{took}")
        }
        Event::ImagePushed { bytes, digest } => {
            format!(
                "  image of {:.1} MB pushed, {}",
                *bytes as f64 / 1e6,
                digest.chars().take(19).collect::<String>()
            )
        }
        Event::Tasks {
            wanted,
            ready,
            running,
            lost,
        } => {
            let lost = if *lost > 0 {
                format!(", {lost} lost")
            } else {
                String::new()
            };
            format!("  tasks: {ready} of {wanted} ready, {running} running{lost}")
        }
        Event::LoadPhaseBegan { name, level } => format!("load phase {name}: {level}"),
        Event::Progress(_) => return None,
        Event::Group {
            desired,
            in_service,
            min,
            max,
        } => {
            format!("group: {in_service} in service, {desired} desired (min {min}, max {max})")
        }
        Event::Interrupted { urgency } => format!("interrupted: {urgency}"),
        Event::Warning { message } => format!("warning: {message}"),
        Event::Note { message } => format!("  {message}"),
        Event::Gone { name } => format!("  gone: {name}"),
        Event::Left { name, why } => format!("  LEFT: {name}: {why}"),
    })
}
