//! The cost of a run: an estimate before, the actual time after. Pure, from a dated price table.
//!
//! Fargate is billed by the second with a minute at least, from the start of the image pull to the
//! stop. The other resources of the module (cluster, roles, group, bucket, repository, log group)
//! have no hourly price.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scenario::{Arch, TaskSize};
use crate::units::{Seconds, Usd, seconds};

pub mod target;

/// On-demand Fargate in us-east-1. Other regions differ by some per cent, a few by a third: the
/// estimate says so.
pub const PRICES: Prices = Prices {
    date: "2026-11",
    region: "us-east-1",
    x86_vcpu_hour: 0.04048,
    x86_gb_hour: 0.004_445,
    arm_vcpu_hour: 0.03238,
    arm_gb_hour: 0.00356,
    public_ipv4_hour: 0.005,
};

/// US dollars. Source: the AWS price list for AmazonECS and AmazonVPC.
#[derive(Debug, Clone, Copy)]
pub struct Prices {
    /// Month of the price list, such as `2026-11`.
    pub date: &'static str,
    /// The region that the prices hold for.
    pub region: &'static str,
    /// One vCPU for an hour, x86_64.
    pub x86_vcpu_hour: f64,
    /// One GB of memory for an hour, x86_64.
    pub x86_gb_hour: f64,
    /// One vCPU for an hour, arm64.
    pub arm_vcpu_hour: f64,
    /// One GB of memory for an hour, arm64.
    pub arm_gb_hour: f64,
    /// One public IPv4 address for an hour; each task has one.
    pub public_ipv4_hour: f64,
}

const SHORTEST_BILLED: Duration = Duration::from_mins(1);

/// From RunTask to the last line of destroy there is more than the load: pulling, waiting for each
/// other, stopping.
pub const AROUND_THE_LOAD: Duration = Duration::from_mins(2);

/// The price of some tasks, each for its own time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskCost {
    /// US dollars of all tasks together.
    pub usd: Usd,
    /// Number of tasks.
    pub tasks: u32,
    /// Billed time of all tasks together.
    #[serde(rename = "task_time_s", alias = "task_time", with = "seconds")]
    #[schemars(with = "Seconds")]
    pub task_time: Duration,
}

/// Returns the price of one task per entry of `times`; a task shorter than a minute is billed for
/// one.
pub fn of_tasks(size: TaskSize, arch: Arch, times: &[Duration]) -> TaskCost {
    let (vcpu, gb) = match arch {
        Arch::X86_64 => (PRICES.x86_vcpu_hour, PRICES.x86_gb_hour),
        Arch::Arm64 => (PRICES.arm_vcpu_hour, PRICES.arm_gb_hour),
    };
    let per_hour = f64::from(size.cpu_units) / 1024.0 * vcpu
        + f64::from(size.memory_mib) / 1024.0 * gb
        + PRICES.public_ipv4_hour;
    let task_time: Duration = times.iter().map(|time| (*time).max(SHORTEST_BILLED)).sum();
    TaskCost {
        usd: Usd(per_hour * task_time.as_secs_f64() / 3_600.0),
        tasks: times.len() as u32,
        task_time,
    }
}

/// Returns the estimate before a run: every task for the whole load and what surrounds it.
pub fn estimate(size: TaskSize, arch: Arch, tasks: u32, load: Duration) -> TaskCost {
    of_tasks(size, arch, &vec![load + AROUND_THE_LOAD; tasks as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: TaskSize = TaskSize {
        cpu_units: 2048,
        memory_mib: 4096,
    };

    #[test]
    fn four_tasks_of_two_vcpus_for_25_minutes_cost_17_cents() {
        let cost = of_tasks(SIZE, Arch::X86_64, &[Duration::from_mins(25); 4]);
        assert!((cost.usd.0 - 0.173).abs() < 0.001, "{}", cost.usd);
    }

    #[test]
    fn a_minute_is_billed_at_least() {
        let short = of_tasks(SIZE, Arch::Arm64, &[Duration::from_secs(3)]);
        assert_eq!(
            short,
            of_tasks(SIZE, Arch::Arm64, &[Duration::from_mins(1)])
        );
    }
}
