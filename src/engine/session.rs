//! A session: one virtual user with its connection, cookies and captured values, and how it carries
//! out a step.

use std::time::Duration;

use rand::SeedableRng as _;
use rand_pcg::Pcg64Mcg;
use tokio::time::{Instant, timeout_at};

use super::context::WorkerContext;
use super::decode::{NotPlain, decode};
use super::judge::Judge;
use super::link::{Link, Trace};
use super::request::Prepared;
use super::values::{CapturedValue, NotMade, Values};
use super::wire::HttpAnswer;
use model::measure::{Ending, Failure, Key, Request};
use model::redact;

/// The state of a virtual user.
pub struct Session {
    pub number: u64,
    pub iterations: u64,
    pub chance: Pcg64Mcg,
    link: Link,
    /// Captured values, by flow; without captures nothing is allocated.
    variables: Box<[Box<[Option<CapturedValue>]>]>,
    /// True for each flow whose setup is done. Empty if no flow has a setup.
    pub set_up: Box<[bool]>,
    /// The instant at which a request under way is cut.
    pub until: Instant,
    /// A request of it was cut.
    pub was_cut: bool,
    /// The row of this iteration, by data file.
    pub rows: Box<[Option<u32>]>,
    /// True for each data file whose row stays for the next iterations.
    pub kept: Box<[bool]>,
}

/// A step that has been carried out.
pub struct Done {
    pub ended: Duration,
    /// True if the rest of the iteration cannot be carried out.
    pub abandon: bool,
    /// True if there was no connection at all.
    pub refused: bool,
}

/// A request that has waited less than this when its session is cut is not held against the target;
/// one that has waited longer was not answered in time.
const TIME_TO_ANSWER: Duration = Duration::from_secs(1);

/// The longest part of a content coding that a report shows.
const LONGEST_CODING: usize = 60;

/// An answer as it is judged.
struct TimedAnswer {
    answer: HttpAnswer,
    took: Duration,
    astray: bool,
}

impl Session {
    pub fn new(context: &WorkerContext, number: u64) -> Self {
        let scenario = &context.scenario;
        let any = scenario.flows.iter().any(|flow| !flow.variables.is_empty());
        let variables = match any {
            true => scenario
                .flows
                .iter()
                .map(|flow| vec![None; flow.variables.len()].into())
                .collect(),
            false => Box::default(),
        };
        Self {
            number,
            iterations: 0,
            chance: context.chance(number),
            link: Link::default(),
            variables,
            set_up: match scenario
                .flows
                .iter()
                .any(|flow| !flow.setup.actions.is_empty())
            {
                true => vec![false; scenario.flows.len()].into(),
                false => Box::default(),
            },
            until: context.start + context.schedule.latest_end(),
            was_cut: false,
            rows: vec![None; scenario.data.len()].into(),
            kept: vec![false; scenario.data.len()].into(),
        }
    }

    /// Prepares the session for the next iteration of the open model. An iteration has its own
    /// random sequence, independent of its session.
    pub fn reseed(&mut self, seed: u64) {
        self.chance = Pcg64Mcg::seed_from_u64(seed);
    }

    /// Forgets what the last iteration of a flow captured; what its setup captured stays.
    pub fn forget(&mut self, flow: usize, lasting: u16) {
        if let Some(variables) = self.variables.get_mut(flow) {
            variables
                .iter_mut()
                .skip(lasting as usize)
                .for_each(|value| *value = None);
        }
    }

    pub fn values<'a>(&'a mut self, context: &'a WorkerContext, flow: usize) -> Values<'a> {
        Values {
            variables: self.variables.get(flow).map_or(&[], |variables| variables),
            data: &context.scenario.data,
            rows: &self.rows,
            session: self.number,
            iteration: self.iterations,
            chance: &mut self.chance,
        }
    }

    /// Carries out a step that was meant to begin at `intended`, and records it.
    pub async fn step(
        &mut self,
        context: &WorkerContext,
        flow: usize,
        step: usize,
        intended: Duration,
    ) -> Done {
        let began = Instant::now();
        let sent = began.saturating_duration_since(context.start);
        // The time since the intended start is the generator's own delay.
        context
            .recorder
            .borrow_mut()
            .start(sent, sent.saturating_sub(intended));
        let mut trace = Trace::default();
        let mut counts = context.counts.take();
        counts.clear();
        let key = Key {
            phase: context.schedule.phase_at(intended) as u16,
            flow: flow as u16,
            step: step as u16,
        };
        let asked = self.ask(context, (flow, step), began, &mut trace, &mut counts);
        let Some((ending, abandon, instance)) = asked.await else {
            context.counts.replace(counts);
            return Done {
                ended: context.elapsed(),
                abandon: true,
                refused: false,
            };
        };
        let now = Instant::now();
        let ended = now.saturating_duration_since(context.start);
        let mut recorder = context.recorder.borrow_mut();
        recorder.request(&Request {
            latency: ended.saturating_sub(intended),
            service: ended.saturating_sub(sent),
            checks: &counts,
            instance,
            ..trace.request(key, ending, ended, now)
        });
        if let Some(failure) = trace.failure.take() {
            recorder.failure(key, failure);
        }
        drop(recorder);
        context.counts.replace(counts);
        Done {
            ended,
            abandon,
            refused: had_no_connection(ending, trace.on_wire),
        }
    }

    /// Sends the request and judges its answer. Returns the ending, whether the rest of the
    /// iteration must be abandoned, and the instance that answered. `None` if the session was cut
    /// before the target had time to answer.
    async fn ask(
        &mut self,
        context: &WorkerContext,
        (flow, step): (usize, usize),
        began: Instant,
        trace: &mut Trace,
        counts: &mut Vec<(u16, bool)>,
    ) -> Option<(Ending, bool, Option<u16>)> {
        let prepared = &context.prepared[flow][step];
        let settings = &context.scenario.flows[flow].steps[step];
        let timeout = settings.timeout.unwrap_or(context.scenario.target.timeout);
        let redirects = settings
            .redirects
            .unwrap_or(context.scenario.target.redirects);
        let request = match prepared.is_fixed() && !context.may_speak_two {
            true => Ok(None),
            false => prepared.ready(&mut self.values(context, flow)).map(Some),
        };
        let ready = match request {
            Ok(ready) => ready,
            Err(why) => {
                if let NotMade::ObjectInPath(object) = why {
                    let value = context.scenario.name_of(flow, &object).unwrap_or_default();
                    trace.failure = Some(Failure::ObjectInPath { value });
                }
                counts.push((prepared.judge.beyond() + 1, false));
                return Some((Ending::Unsent, true, None));
            }
        };
        // Without an answer there is no captured value, and the rest of the iteration may need one.
        let unanswered = !prepared.judge.captures_nothing();
        let fetch = self.link.fetch(context, prepared, ready, redirects, trace);
        match timeout_at((began + timeout).min(self.until), fetch).await {
            Ok(Ok(mut answer)) => {
                if prepared.judge.needs_body && !trace.astray {
                    trace.failure = unpack(&mut answer).err();
                }
                let instance = context.instance(&answer);
                let seen = TimedAnswer {
                    answer,
                    took: began.elapsed(),
                    astray: trace.astray,
                };
                let (ending, abandon) = self.judge(context, flow, prepared, seen, counts);
                Some((ending, abandon, instance))
            }
            Ok(Err(ending)) => Some((ending, unanswered, None)),
            Err(_) if self.until < began + timeout => {
                self.was_cut = true;
                context
                    .recorder
                    .borrow_mut()
                    .saturation(context.elapsed())
                    .cut += 1;
                (began.elapsed() >= TIME_TO_ANSWER).then_some((Ending::Timeout, true, None))
            }
            Err(_) => Some((Ending::Timeout, unanswered, None)),
        }
    }

    /// Returns the ending, and whether the rest of the iteration must be abandoned.
    fn judge(
        &mut self,
        context: &WorkerContext,
        flow: usize,
        prepared: &Prepared,
        seen: TimedAnswer,
        counts: &mut Vec<(u16, bool)>,
    ) -> (Ending, bool) {
        let TimedAnswer {
            answer,
            took,
            astray,
        } = seen;
        if astray {
            counts.push((prepared.judge.beyond(), false));
            return (Ending::Check, true);
        }
        if prepared.judge.is_plain() {
            return (Judge::plain(answer.status), false);
        }
        let Self {
            link,
            variables,
            rows,
            number,
            iterations,
            chance,
            ..
        } = self;
        let cookie = |name: &str| link.cookie(name);
        let mut captured = Vec::new();
        let mut values = Values {
            variables: variables.get(flow).map_or(&[], |variables| variables),
            data: &context.scenario.data,
            rows,
            session: *number,
            iteration: *iterations,
            chance,
        };
        let judged =
            prepared
                .judge
                .judge(&answer, took, &mut values, &mut captured, &cookie, counts);
        for (slot, value) in captured {
            if let Some(place) = variables
                .get_mut(flow)
                .and_then(|variables| variables.get_mut(slot as usize))
            {
                *place = Some(value);
            }
        }
        (judged.ending, judged.abandon)
    }
}

/// True if there was no connection to send the request on. A target that sheds may reset a connection
/// before anything is sent on it; that answers no request.
fn had_no_connection(ending: Ending, on_wire: Option<Instant>) -> bool {
    !ending.has_latency() || (matches!(ending, Ending::Broken(_)) && on_wire.is_none())
}

/// Unpacks a body that will be read. Where that fails, the answer is marked as one whose body
/// cannot be looked at.
fn unpack(answer: &mut HttpAnswer) -> Result<(), Failure> {
    // An answer without a body (to a HEAD, a 304) is no body in any coding.
    if answer.body.is_empty() {
        return Ok(());
    }
    let coding = codings(answer);
    if coding.is_empty() {
        return Ok(());
    }
    answer.body = decode(&coding, std::mem::take(&mut answer.body)).map_err(|why| {
        answer.unreadable = true;
        let printable = String::from_utf8_lossy(&coding).replace(char::is_control, "\u{fffd}");
        let coding = redact::text(&printable)
            .chars()
            .take(LONGEST_CODING)
            .collect();
        match why {
            NotPlain::Unknown => Failure::UnknownCoding { coding },
            NotPlain::Damaged => Failure::NotUnpacked { coding },
        }
    })?;
    Ok(())
}

/// Returns the codings of a body in the order in which they were applied: the transfer's come last
/// (RFC 9112, 7.2). Chunks are undone already; what else stands there is no coding to browsers.
fn codings(answer: &HttpAnswer) -> Vec<u8> {
    let of = |name: &'static str| {
        let values = answer
            .headers
            .iter()
            .filter(move |(known, _)| known == name);
        let all = values.flat_map(|(_, value)| value.split(|byte| *byte == b','));
        all.map(<[u8]>::trim_ascii)
            .filter(|coding| !coding.is_empty())
    };
    let packs = |coding: &&[u8]| {
        let known: [&[u8]; 3] = [b"gzip", b"x-gzip", b"deflate"];
        known.iter().any(|known| coding.eq_ignore_ascii_case(known))
    };
    let transfer = of("transfer-encoding").filter(packs);
    let all: Vec<&[u8]> = of("content-encoding").chain(transfer).collect();
    all.join(&b", "[..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::measure::Broken;

    #[test]
    fn a_connection_that_was_reset_before_the_request_is_none() {
        let reset = Ending::Broken(Broken::ResetBeforeAnswer);
        let sent = Some(Instant::now());
        for (ending, on_wire, none) in [
            (reset, None, true),
            (reset, sent, false),
            (Ending::Connect, None, true),
            (Ending::Connect, sent, true),
            (Ending::Timeout, None, false),
            (Ending::Ok, sent, false),
        ] {
            assert_eq!(had_no_connection(ending, on_wire), none, "{ending:?}");
        }
    }
}
