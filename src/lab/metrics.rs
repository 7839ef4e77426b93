//! CloudWatch's metrics of the target: one sample per period, aggregated on request.

use super::clock::LabInstant;
use super::config::PolicyMetric;

/// A closed period.
#[derive(Debug, Clone)]
pub struct Sample {
    pub start: LabInstant,
    /// Percent, one value per warmed instance in service.
    pub cpu: Vec<f64>,
    pub healthy: u32,
    pub in_service: u32,
    pub desired: u32,
    pub seen: OpenPeriod,
}

/// Requests that the load balancer counted in a period.
#[derive(Debug, Clone, Default)]
pub struct OpenPeriod {
    /// Seconds, of the requests an instance answered.
    pub response_times: Vec<f32>,
    pub target_2xx: u32,
    pub target_4xx: u32,
    pub target_5xx: u32,
    /// Requests whose client closed the connection before an answer: status 460.
    pub given_up: u32,
    /// 5xx answers of the load balancer itself: there was no instance, or it went away.
    pub elb_5xx: u32,
    /// Answers among them that their instance did not live to give.
    pub elb_502: u32,
    /// Connections that the load balancer had no room for.
    pub rejected: u32,
}

impl OpenPeriod {
    pub fn answered(&mut self, status: u16, seconds: f32) {
        self.response_times.push(seconds);
        match status {
            500.. => self.target_5xx += 1,
            400..500 => self.target_4xx += 1,
            _ => self.target_2xx += 1,
        }
    }
}

impl Sample {
    pub fn average_cpu(&self) -> Option<f64> {
        (!self.cpu.is_empty()).then(|| self.cpu.iter().sum::<f64>() / self.cpu.len() as f64)
    }

    /// Returns the value of the metric that a policy follows; `None` if this period has no
    /// datapoint.
    pub fn of(&self, metric: PolicyMetric) -> Option<f64> {
        match metric {
            PolicyMetric::Cpu => self.average_cpu(),
            PolicyMetric::RequestsPerTarget => {
                self.values("RequestCountPerTarget").first().copied()
            }
        }
    }

    /// Returns the values a metric has in this period; empty where CloudWatch has no datapoint.
    pub fn values(&self, metric: &str) -> Vec<f64> {
        // Counters of the load balancer exist only where something was counted.
        let count = |count: u32| {
            if count > 0 {
                vec![f64::from(count)]
            } else {
                Vec::new()
            }
        };
        let gauge = |value: u32| vec![f64::from(value)];
        let requests = self.seen.response_times.len() as u32 + self.seen.given_up;
        match metric {
            "CPUUtilization" => self.cpu.clone(),
            "RequestCount" => count(requests),
            "RequestCountPerTarget" => vec![f64::from(requests) / f64::from(self.healthy.max(1))],
            "TargetResponseTime" => self
                .seen
                .response_times
                .iter()
                .map(|&seconds| f64::from(seconds))
                .collect(),
            "HTTPCode_Target_2XX_Count" => count(self.seen.target_2xx),
            "HTTPCode_Target_4XX_Count" => count(self.seen.target_4xx),
            "HTTPCode_Target_5XX_Count" => count(self.seen.target_5xx),
            "HTTPCode_ELB_5XX_Count" => count(self.seen.elb_5xx),
            "HTTPCode_ELB_502_Count" => count(self.seen.elb_502),
            "RejectedConnectionCount" => count(self.seen.rejected),
            "HealthyHostCount" => gauge(self.healthy),
            "UnHealthyHostCount" => gauge(0),
            "GroupDesiredCapacity" => gauge(self.desired),
            "GroupInServiceInstances" => gauge(self.in_service),
            _ => Vec::new(),
        }
    }
}

/// Returns a statistic over a bucket of values: `Sum`, `Average`, `Minimum`, `Maximum`,
/// `SampleCount`, `p99` ...
pub(crate) fn statistic(name: &str, mut values: Vec<f64>) -> Option<f64> {
    let count = values.len() as f64;
    if values.is_empty() {
        return None;
    }
    values.sort_by(f64::total_cmp);
    match name {
        "Sum" => Some(values.iter().sum()),
        "Average" => Some(values.iter().sum::<f64>() / count),
        "Minimum" => values.first().copied(),
        "Maximum" => values.last().copied(),
        "SampleCount" => Some(count),
        _ => {
            let percent: f64 = name.strip_prefix('p')?.parse().ok()?;
            let rank = (percent / 100.0 * count).ceil().clamp(1.0, count) as usize;
            values.get(rank - 1).copied()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_those_of_cloudwatch() {
        for (name, expected) in [
            ("Sum", Some(10.0)),
            ("Average", Some(2.5)),
            ("Minimum", Some(1.0)),
            ("Maximum", Some(4.0)),
            ("SampleCount", Some(4.0)),
            ("p50", Some(2.0)),
            ("p99.9", Some(4.0)),
            ("TM(10%:90%)", None),
        ] {
            assert_eq!(
                statistic(name, vec![4.0, 1.0, 3.0, 2.0]),
                expected,
                "{name}"
            );
        }
        assert_eq!(statistic("Sum", Vec::new()), None);
    }
}
