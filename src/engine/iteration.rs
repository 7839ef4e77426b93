//! One pass through a flow, by a session (closed model) or for itself (open model).

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use rand::RngExt as _;
use rand_pcg::Pcg64Mcg;
use tokio::time::timeout_at;

use super::context::{Supply, WorkerContext};
use super::session::Session;
use super::walk::Walk;
use model::scenario::{Block, Think};

/// A session that gets no connection waits this long. Without the pause a generator would only
/// measure its own refused attempts. (The open model begins due iterations all the same.)
const AFTER_REFUSAL: Duration = Duration::from_millis(100);

/// A request under way at the end of the grace ends itself, and is counted. All other work, such as
/// think time, is cut this much later.
const OWN_END: Duration = Duration::from_millis(50);

/// Counts itself as under way for as long as it lives, also when it is cut.
struct Active<'a>(&'a Cell<u32>);

impl<'a> Active<'a> {
    fn new(count: &'a Cell<u32>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// Runs a session of the closed model: iteration after iteration until its span ends. Then the
/// iteration under way is finished within the phase's grace, or cut and counted.
pub(crate) async fn session(
    context: Rc<WorkerContext>,
    number: u64,
    span: u64,
    from: Duration,
    to: Duration,
) {
    context.wait_until(from).await;
    let _active = Active::new(&context.active);
    // A session that comes back later is another visitor.
    let mut session = Session::new(&context, number | span << 40);
    let grace = context
        .scenario
        .phases
        .get(context.schedule.phase_before(to))
        .map_or(Duration::ZERO, |phase| phase.grace);
    session.until = context.start + to + grace;
    let lived = timeout_at(
        session.until + OWN_END,
        live(&context, &mut session, from, to),
    )
    .await;
    if lived.is_err() && !session.was_cut {
        context
            .recorder
            .borrow_mut()
            .saturation(context.elapsed())
            .cut += 1;
    }
}

async fn live(context: &WorkerContext, session: &mut Session, from: Duration, to: Duration) {
    let mut intended = from;
    while intended < to {
        let began = intended;
        let flow = context.pick_flow(&mut session.chance);
        if context.supply(session, flow) == Supply::UsedUp {
            context
                .recorder
                .borrow_mut()
                .saturation(context.elapsed())
                .without_data += 1;
            return;
        }
        intended = iteration(context, session, flow, intended, AfterLastStep::Thinks).await;
        if let Some(pace) = context.scenario.flows[flow].pace {
            intended = intended.max(began + pace);
        }
        // A user whose think time goes beyond the end of the load stays until the end.
        context.wait_until(intended.min(to)).await;
    }
}

/// Runs an iteration of the open model, due at an instant of its own. Its first request counts from
/// there, even if the generator or the target was late. A free session carries it out, or a new
/// one.
pub(crate) async fn arrival(context: Rc<WorkerContext>, number: u64, due: Duration) {
    let _active = Active::new(&context.active);
    let free = context.idle.borrow_mut().pop();
    let mut session = free.unwrap_or_else(|| {
        let own = context.sessions.get();
        context.sessions.set(own + 1);
        // Numbers of all workers together have no gap and no double.
        Session::new(
            &context,
            u64::from(context.share.index) + own * u64::from(context.share.of),
        )
    });
    session.reseed(context.seed_of(number));
    let flow = context.pick_flow(&mut session.chance);
    if context.supply(&mut session, flow) == Supply::UsedUp {
        context
            .recorder
            .borrow_mut()
            .saturation(context.elapsed())
            .without_data += 1;
        return;
    }
    // Late is late, but it is sent, and counts in the second that it was due in.
    context.recorder.borrow_mut().saturation(due).sent += 1;
    let phase = context.schedule.phase_at(due);
    let grace = context
        .scenario
        .phases
        .get(phase)
        .map_or(Duration::ZERO, |phase| phase.grace);
    let over = context
        .schedule
        .phase_starts()
        .get(phase + 1)
        .copied()
        .unwrap_or(context.schedule.end());
    session.until = context.start + over + grace;
    let carried_out = timeout_at(
        session.until + OWN_END,
        iteration(&context, &mut session, flow, due, AfterLastStep::EndsAtOnce),
    )
    .await;
    match carried_out {
        Ok(_) if !session.was_cut => context.idle.borrow_mut().push(session),
        Err(_) if !session.was_cut => {
            context
                .recorder
                .borrow_mut()
                .saturation(context.elapsed())
                .cut += 1;
        }
        _ => {}
    }
}

/// The choice between the last step's think time and an immediate end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AfterLastStep {
    Thinks,
    EndsAtOnce,
}

/// Carries out the flow's setup, if it has not been, and its steps; when the next thing is meant to
/// begin.
async fn iteration(
    context: &WorkerContext,
    session: &mut Session,
    flow: usize,
    intended: Duration,
    last: AfterLastStep,
) -> Duration {
    let settings = &context.scenario.flows[flow];
    session.iterations += 1;
    session.forget(flow, settings.lasting);
    let mut intended = intended;
    if session.set_up.get(flow) == Some(&false) && !settings.setup.actions.is_empty() {
        match steps(
            context,
            session,
            flow,
            &settings.setup,
            intended,
            AfterLastStep::Thinks,
        )
        .await
        {
            Ok(next) => intended = next,
            Err(next) => return next,
        }
        session.set_up[flow] = true;
        context.keep_rows(session, flow);
        context.wait_until(intended).await;
    }
    match steps(context, session, flow, &settings.body, intended, last).await {
        Ok(next) | Err(next) => next,
    }
}

/// Carries out the steps of a block, one after the other. An error is the instant where an
/// abandoned iteration leaves off.
async fn steps(
    context: &WorkerContext,
    session: &mut Session,
    flow: usize,
    block: &Block,
    mut intended: Duration,
    last: AfterLastStep,
) -> Result<Duration, Duration> {
    let settings = &context.scenario.flows[flow];
    let mut walk = Walk::new(block);
    let mut next = walk.next(&mut |condition| session.values(context, flow).holds(condition));
    while let Some(step) = next {
        let step = step as usize;
        let done = session.step(context, flow, step, intended).await;
        next = walk.next(&mut |condition| session.values(context, flow).holds(condition));
        intended = done.ended;
        if next.is_some() || last == AfterLastStep::Thinks {
            intended += think(
                settings.steps[step].think.unwrap_or(settings.think),
                &mut session.chance,
            );
        }
        if done.refused && last == AfterLastStep::Thinks {
            intended += AFTER_REFUSAL;
        }
        if done.abandon {
            return Err(intended);
        }
        if next.is_some() {
            context.wait_until(intended).await;
        }
    }
    Ok(intended)
}

fn think(think: Think, chance: &mut Pcg64Mcg) -> Duration {
    match think {
        Think::None => Duration::ZERO,
        Think::Constant(time) => time,
        Think::Uniform(from, to) => {
            from + (to.saturating_sub(from)).mul_f64(chance.random::<f64>())
        }
        Think::Exponential(mean) => mean.mul_f64((-(1.0 - chance.random::<f64>()).ln()).min(10.0)),
        Think::Normal(mean, deviation) => {
            // Box and Muller.
            let (radius, turn) = (
                (-2.0 * (1.0 - chance.random::<f64>()).ln()).sqrt(),
                chance.random::<f64>(),
            );
            let away = radius * (std::f64::consts::TAU * turn).cos() * deviation.as_secs_f64();
            Duration::from_secs_f64((mean.as_secs_f64() + away).max(0.0))
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn think_times_have_the_mean_and_bounds_they_say() {
        let mut chance = Pcg64Mcg::seed_from_u64(1);
        let second = Duration::from_secs(1);
        for kind in [
            Think::Constant(second),
            Think::Uniform(second / 2, second * 3 / 2),
            Think::Exponential(second),
            Think::Normal(second, second / 5),
        ] {
            let drawn: Vec<Duration> = (0..20_000).map(|_| think(kind, &mut chance)).collect();
            let mean = drawn.iter().sum::<Duration>() / 20_000;
            assert!(
                mean.abs_diff(kind.mean()) < second / 25,
                "{kind:?}: {mean:?}"
            );
            assert!(drawn.iter().all(|time| *time <= second * 10));
        }
    }
}
