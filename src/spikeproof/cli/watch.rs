//! `spikeproof watch`: records and judges a spike that somebody else creates.

use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::CommandOutput;
use super::signals::Signals;
use crate::aws::Aws;
use crate::events::Events;
use crate::evidence::Timeline;
use crate::outcome::Exit;
use crate::report::{Judged, live, terminal, words};
use crate::scenario::{self, Scenario, Subject, Substitutions};
use crate::verdict::{self, RunWarning, preflight};
use crate::visible;
use crate::watch::{self, Watch};

/// How often the live view is updated.
const TICK: Duration = Duration::from_secs(1);

/// Watches a group while somebody else creates the load, and judges how it scaled. Creates nothing.
///
/// Ctrl-C ends the watch early; the data so far is judged.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = crate::outcome::EXIT_CODES)]
pub(super) struct WatchArgs {
    /// The Auto Scaling group
    #[arg(long, value_name = "NAME", required_unless_present_any = ["service", "read"], conflicts_with = "service")]
    group: Option<String>,
    /// The ECS service, as `cluster/service`
    #[arg(long, value_name = "CLUSTER/SERVICE", value_parser = service)]
    service: Option<Subject>,
    /// The duration of the watch
    #[arg(long = "for", value_name = "DURATION", default_value = "20m", value_parser = crate::units::parse_duration)]
    lasts: Duration,
    /// The file for every observation [default: watch-NAME.jsonl]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Judges the file of an earlier watch, instead of watching
    #[arg(long, value_name = "FILE", conflicts_with_all = ["group", "service", "out"])]
    read: Option<PathBuf>,
    /// The longest time from the breach of the policy's threshold to a new instance in service
    #[arg(long, value_name = "DURATION", default_value = "3m")]
    out_within: String,
    /// The longest time to scale in: `auto`, a duration, or `2x cooldown`
    #[arg(long, value_name = "BOUND", default_value = "auto")]
    in_within: String,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

fn service(text: &str) -> Result<Subject, String> {
    Subject::service(text).ok_or_else(|| format!("`{text}` is not CLUSTER/SERVICE"))
}

pub(super) async fn run(args: WatchArgs) -> CommandOutput {
    let expected = match expectations(&args) {
        Ok(expected) => expected,
        Err(why) => return CommandOutput::error(why, Exit::Usage),
    };
    let seen = match &args.read {
        Some(file) => watch::read(file).map_err(|why| CommandOutput::error(why, Exit::Usage)),
        None => watched(&args).await,
    };
    match seen {
        Ok(timeline) => answer(
            &args,
            &words::watched(verdict::judge_watched(&expected, &timeline)),
            &timeline,
        ),
        Err(answer) => answer,
    }
}

/// The options as a scenario, so that one parser reads both.
fn expectations(args: &WatchArgs) -> Result<Scenario, String> {
    let text = format!(
        "name: watch\ntarget: {{ url: \"http://127.0.0.1\", group: watched }}\nphases: [{{ name: watched, rate: 1/s, hold: 1s }}]\n\
         steps: [{{ get: / }}]\nscaling: {{ out_within: {:?}, in_within: {:?} }}\n",
        args.out_within, args.in_within
    );
    let read = scenario::read(&text, &Substitutions::default(), &scenario::no_files);
    read.map(|read| read.scenario).map_err(|problems| {
        let problems: Vec<&str> = problems
            .iter()
            .map(|problem| problem.message.as_str())
            .collect();
        format!("--out-within, --in-within: {}", problems.join("; "))
    })
}

async fn watched(args: &WatchArgs) -> Result<Timeline, CommandOutput> {
    let subject = subject(args)?;
    let mut signals = Signals::listen().map_err(could_not)?;
    let aws = Aws::from_environment().await.map_err(could_not)?;
    let file = args.out.clone().unwrap_or_else(|| {
        PathBuf::from(format!(
            "watch-{}.jsonl",
            subject.to_string().replace('/', "-")
        ))
    });
    let before = watch::survey(&aws, &subject).await.map_err(could_not)?;
    let watch = Watch::begin(&aws, &subject, &file)
        .await
        .map_err(could_not)?;
    let (events, listener) = Events::channel();
    let mut view = JoinSet::new();
    view.spawn(live::show(listener));
    events.note(format!(
        "watching {subject} for {}, into {}",
        crate::units::duration(args.lasts),
        file.display()
    ));
    for warning in preflight::of_group(&before) {
        events.warn(words::warning(&warning));
    }
    let interrupted = CancellationToken::new();
    show_group(&watch, args.lasts, &events, &mut signals, &interrupted).await;
    let ended = end(watch, &events, &mut signals, &interrupted).await;
    let texts = ended.timeline.not_understood();
    if !texts.is_empty() {
        let warning = RunWarning::NotUnderstood { texts }.into();
        events.warn(words::warning(&warning));
    }
    for late in &ended.late {
        events.warn(words::late_metric(late));
    }
    drop(events);
    view.join_next().await;
    Ok(ended.timeline)
}

fn could_not(why: impl std::fmt::Display) -> CommandOutput {
    CommandOutput::error(why, Exit::CouldNotRun)
}

fn subject(args: &WatchArgs) -> Result<Subject, CommandOutput> {
    match (&args.group, &args.service) {
        (Some(name), _) => Ok(Subject::Group(name.clone())),
        (None, Some(service)) => Ok(service.clone()),
        (None, None) => Err(CommandOutput::error(
            "name a --group or a --service",
            Exit::Usage,
        )),
    }
}

/// Shows the group until the time is over or a signal arrives.
async fn show_group(
    watch: &Watch,
    lasts: Duration,
    events: &Events,
    signals: &mut Signals,
    interrupted: &CancellationToken,
) {
    let until = Instant::now() + lasts;
    while Instant::now() < until && !interrupted.is_cancelled() {
        if let Some(group) = watch.group() {
            events.say(watch::group_event(&group));
        }
        tokio::select! {
            () = sleep(TICK) => {}
            _ = signals.next() => interrupted.cancel(),
        }
    }
}

/// Waits for late datapoints. A signal ends the wait.
async fn end(
    watch: Watch,
    events: &Events,
    signals: &mut Signals,
    interrupted: &CancellationToken,
) -> watch::EndedWatch {
    let mut ending = pin!(watch.end(interrupted, |late| events.note(words::waiting_for(late))));
    loop {
        tokio::select! {
            ended = &mut ending => return ended,
            _ = signals.next() => interrupted.cancel(),
        }
    }
}

fn answer(args: &WatchArgs, judged: &Judged, timeline: &Timeline) -> CommandOutput {
    if args.json {
        return match serde_json::to_string_pretty(judged) {
            Ok(json) => CommandOutput::json(json + "\n", judged.verdict.into()),
            Err(error) => CommandOutput::error(error, Exit::CouldNotRun),
        };
    }
    let began = timeline
        .observations
        .first()
        .map(|observation| observation.at);
    let mut text = terminal::watched(judged, began);
    for (_, gap) in timeline.gaps() {
        text += &format!(
            "\n  note: {}: {}\n",
            visible::line(&gap.call),
            visible::line(&gap.why)
        );
    }
    CommandOutput::out(text, judged.verdict.into())
}
