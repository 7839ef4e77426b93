//! The generator's watch on itself: once a second, the share of its resources that it uses.
//!
//! Each worker knows its own thread's processor time and how late its event loop is; the first also
//! looks at the process as a whole.

use std::collections::VecDeque;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::context::WorkerContext;

/// Interval at which the delay of the event loop is measured.
const TICK: Duration = Duration::from_millis(10);
/// A closed socket keeps its port for this long (Linux, TIME_WAIT).
const TIME_WAIT: usize = 60;
/// Files that a process has open besides connections: a generous estimate.
const OTHER_FILES: u64 = 64;

/// Fills in each second's saturation, as it passes. Never returns.
pub async fn watch(context: &WorkerContext, worker: u32, workers: u32) {
    let limits = Limits::of_this_process();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut closed: VecDeque<u64> = VecDeque::from([0]);
    let (mut second, mut since, mut used) =
        (context.elapsed().as_secs(), Instant::now(), thread_time());
    // Taken just before the second ended: sessions whose time ends with it have left afterwards.
    let mut there = 0;
    loop {
        let due = ticks.tick().await;
        let lag = Instant::now().saturating_duration_since(due);
        let at = context.elapsed();
        if at.is_zero() {
            (since, used) = (Instant::now(), thread_time());
            continue;
        }
        let mut recorder = context.recorder.borrow_mut();
        let saturation = recorder.saturation(at);
        saturation.lag_micros = saturation.lag_micros.max(micros(lag));
        if at.as_secs() == second {
            there = context.active.get();
            continue;
        }
        let (now, now_used) = (Instant::now(), thread_time());
        let busy =
            (now_used.saturating_sub(used)).as_secs_f64() / (now - since).as_secs_f64().max(1e-9);
        (since, used) = (now, now_used);
        closed.push_back(context.open.closed.get());
        if closed.len() > TIME_WAIT {
            closed.pop_front();
        }
        let lingering = context.open.closed.get() - closed.front().copied().unwrap_or_default();
        let connections = context.open.now.get();
        let sockets = u64::from(connections) * u64::from(workers);
        let resident = if worker == 0 { resident() } else { 0 };
        // The seconds that have just passed. They are several if the worker did something else for
        // so long: it was late in each of them, from the one in which this tick was due.
        let late_from = at.saturating_sub(lag).as_secs();
        // A worker that had no time to count its sessions still has them.
        let seen = match lag > TICK * 5 {
            true => there.max(context.active.get()),
            false => there,
        };
        for passed in second..at.as_secs() {
            let before = Duration::from_secs(passed + 1) - Duration::from_millis(1);
            let asked = context
                .share
                .part_of(context.schedule.users_at(before) as u64);
            let saturation = recorder.saturation(Duration::from_secs(passed));
            saturation.busy = (busy * 1_000.0).min(1_000.0) as u32;
            saturation.sessions = there;
            saturation.connections = connections;
            saturation.asked += asked;
            saturation.sent += asked.min(seen.into());
            saturation.files = per_mille(sockets + OTHER_FILES, limits.files);
            saturation.ports = per_mille(
                (sockets + lingering * u64::from(workers)) / context.addresses.count() as u64,
                limits.ports,
            );
            if passed >= late_from {
                saturation.lag_micros = saturation.lag_micros.max(micros(lag));
            }
            if worker == 0 {
                saturation.resident_mib = u32::try_from(resident >> 20).unwrap_or(u32::MAX);
                saturation.memory = per_mille(resident, limits.memory);
            }
        }
        second = at.as_secs();
    }
}

/// Gives the watch time for one more look. A worker that was stalled until its end has seconds of
/// which nothing is known yet.
pub async fn settle() {
    sleep(TICK * 2).await;
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn per_mille(used: u64, of: u64) -> u32 {
    u32::try_from(used.saturating_mul(1_000) / of.max(1)).unwrap_or(u32::MAX)
}

/// Limits of this process for every resource that can run out.
#[derive(Debug, Clone, Copy)]
struct Limits {
    files: u64,
    /// Source ports towards one address and port of the target.
    ports: u64,
    /// Bytes.
    memory: u64,
}

impl Limits {
    fn of_this_process() -> Self {
        let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        Self {
            files,
            ports: ports(&read("/proc/sys/net/ipv4/ip_local_port_range")),
            memory: memory(),
        }
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Returns the number of source ports in a range; Linux's own default if the file cannot be read.
fn ports(range: &str) -> u64 {
    let ends: Vec<u64> = range
        .split_whitespace()
        .filter_map(|end| end.parse().ok())
        .collect();
    match ends.as_slice() {
        [from, to] if to >= from => to - from + 1,
        _ => 28_232,
    }
}

/// Sockets that the process's table of files has room for from the start.
const ROOM: u64 = 1 << 17;

/// Makes the table of open files as large as it may get, before there is load. Linux doubles the
/// table as it fills, and waits each time until every core has seen the new one. That takes 8 to 16
/// ms, in which a worker that opens a connection does nothing.
pub fn make_room_for_sockets() {
    let limit = getrlimit(Resource::Nofile)
        .current
        .unwrap_or(ROOM)
        .min(ROOM);
    let highest = i32::try_from(limit).unwrap_or(1024) - 1;
    if let Ok(file) = std::fs::File::open("/dev/null") {
        // The table keeps its size when the number is given back. Refused, it grows as it would
        // have.
        drop(rustix::io::fcntl_dupfd_cloexec(&file, highest));
    }
}

/// Returns the container's memory limit if there is one, else the machine's memory; in bytes.
pub fn memory() -> u64 {
    let limit = [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ]
    .into_iter()
    .find_map(|path| read(path).trim().parse::<u64>().ok());
    let machine = read("/proc/meminfo")
        .lines()
        .find_map(|line| {
            line.strip_prefix("MemTotal:")?
                .trim()
                .trim_end_matches(" kB")
                .parse::<u64>()
                .ok()
        })
        .map_or(u64::MAX, |kib| kib * 1_024);
    limit.unwrap_or(u64::MAX).min(machine)
}

fn resident() -> u64 {
    let pages = read("/proc/self/statm")
        .split_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or_default() * rustix::param::page_size() as u64
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_or_assumed() {
        assert_eq!(ports("32768\t60999\n"), 28_232);
        assert_eq!(ports("1024 65535"), 64_512);
        assert_eq!(ports(""), 28_232);
        let limits = Limits::of_this_process();
        assert!(limits.files > 0 && limits.memory > 1 << 20, "{limits:?}");
        assert!(resident() > 1 << 20);
        assert_eq!(per_mille(9, 10), 900);
    }
}
