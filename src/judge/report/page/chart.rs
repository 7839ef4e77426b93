//! The two charts: load over capacity, and latency on a logarithmic scale.

use std::fmt::Write as _;

use crate::report::{ReportedSecond, RunReport, latency as latency_text};

const WIDTH: f64 = 920.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 40.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 34.0;

/// Maps seconds and values to points.
struct Frame {
    seconds: f64,
    top: f64,
    bottom: f64,
    log: bool,
}

impl Frame {
    fn x(&self, second: f64) -> f64 {
        LEFT + second.clamp(0.0, self.seconds) / self.seconds * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        let share = if self.log {
            (value.max(self.bottom) / self.bottom).ln() / (self.top / self.bottom).ln()
        } else {
            value / self.top
        };
        HEIGHT - BOTTOM - share.clamp(0.0, 1.0) * (HEIGHT - TOP - BOTTOM)
    }

    /// Returns a path through the middles of the seconds, with gaps where there is no value.
    fn path(&self, values: impl Iterator<Item = Option<f64>>) -> String {
        let mut path = String::new();
        let mut pen_down = false;
        for (second, value) in values.enumerate() {
            let Some(value) = value else {
                pen_down = false;
                continue;
            };
            let command = if pen_down { 'L' } else { 'M' };
            let _ = write!(
                path,
                "{command}{:.1} {:.1}",
                self.x(second as f64 + 0.5),
                self.y(value)
            );
            pen_down = true;
        }
        path
    }
}

/// Draws answered and failed requests per second, and over them the instances in service on the
/// right axis.
pub(super) fn load(report: &RunReport) -> String {
    let Some(load) = &report.load else {
        return String::new();
    };
    let top = load
        .seconds
        .iter()
        .map(|second| (second.ok + second.errors) as f64)
        .fold(1.0, f64::max);
    let asked_top = load
        .seconds
        .iter()
        .map(|second| second.asked)
        .fold(0.0, f64::max);
    let top = if load.is_open() {
        top.max(asked_top)
    } else {
        top
    } * 1.1;
    let frame = Frame {
        seconds: length(report),
        top,
        bottom: 0.0,
        log: false,
    };
    let mut svg = open("Requests per second over the instances in service");
    grid(
        &mut svg,
        report,
        &frame,
        &[0.0, top / 2.0, top].map(|value| (value, format!("{value:.0}/s"))),
    );

    let mut areas = [String::new(), String::new()];
    for (second, value) in load.seconds.iter().enumerate() {
        let (from, to) = (frame.x(second as f64), frame.x(second as f64 + 1.0));
        let (ok, all) = (
            frame.y(value.ok as f64),
            frame.y((value.ok + value.errors) as f64),
        );
        let _ = write!(
            areas[0],
            "M{from:.1} {:.1}V{ok:.1}H{to:.1}V{:.1}Z",
            frame.y(0.0),
            frame.y(0.0)
        );
        if value.errors > 0 {
            let _ = write!(areas[1], "M{from:.1} {ok:.1}V{all:.1}H{to:.1}V{ok:.1}Z");
        }
    }
    let _ = write!(
        svg,
        r##"<path d="{}" fill="#2f81c7" fill-opacity="0.45"/>"##,
        areas[0]
    );
    let _ = write!(svg, r##"<path d="{}" fill="#c4292b"/>"##, areas[1]);
    if load.is_open() {
        let asked = frame.path(load.seconds.iter().map(|second| Some(second.asked)));
        let _ = write!(
            svg,
            r##"<path d="{asked}" fill="none" stroke="#444" stroke-dasharray="4 3"/>"##
        );
    }
    capacity(&mut svg, report, &frame);
    legend(
        &mut svg,
        &[
            ("#2f81c7", "answered"),
            ("#c4292b", "failed"),
            ("#444", "asked"),
            ("#b35900", "instances in service"),
        ],
    );
    svg.push_str("</svg>");
    svg
}

fn capacity(svg: &mut String, report: &RunReport, frame: &Frame) {
    let most = report
        .capacity
        .iter()
        .map(|at| at.in_service.max(at.desired))
        .max()
        .unwrap_or(0);
    if most == 0 {
        return;
    }
    let y = |instances: u32| {
        HEIGHT - BOTTOM - f64::from(instances) / f64::from(most) * (HEIGHT - TOP - BOTTOM) * 0.9
    };
    let mut path = String::new();
    for (index, at) in report.capacity.iter().enumerate() {
        let _ = match index {
            0 => write!(path, "M{:.1} {:.1}", frame.x(at.second), y(at.in_service)),
            _ => write!(path, "H{:.1}V{:.1}", frame.x(at.second), y(at.in_service)),
        };
    }
    let _ = write!(path, "H{:.1}", frame.x(frame.seconds));
    let _ = write!(
        svg,
        r##"<path d="{path}" fill="none" stroke="#b35900" stroke-width="2"/>"##
    );
    for instances in [1, most] {
        let _ = write!(
            svg,
            r##"<text x="{:.1}" y="{:.1}" font-size="11" fill="#b35900">{instances}</text>"##,
            WIDTH - RIGHT + 6.0,
            y(instances) + 4.0
        );
    }
}

/// Draws p50, p95 and p99 of every second, on a logarithmic scale.
pub(super) fn latency(report: &RunReport) -> String {
    let Some(load) = &report.load else {
        return String::new();
    };
    let values = load
        .seconds
        .iter()
        .flat_map(|second| [second.p50, second.p99])
        .flatten();
    let (low, high) = values.fold((u64::MAX, 0), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    if high == 0 {
        return String::new();
    }
    let bottom = 10_f64.powf((low.max(1) as f64).log10().floor());
    let top = 10_f64.powf((high as f64).log10().ceil()).max(bottom * 10.0);
    let frame = Frame {
        seconds: length(report),
        top,
        bottom,
        log: true,
    };
    let mut ticks = Vec::new();
    let mut tick = bottom;
    while tick <= top * 1.01 {
        ticks.push((tick, latency_text(Some(tick as u64))));
        tick *= 10.0;
    }
    let mut svg = open("Latency from the intended start, by second");
    grid(&mut svg, report, &frame, &ticks);
    type Pick = fn(&ReportedSecond) -> Option<u64>;
    let lines: [(&str, Pick); 3] = [
        ("#7aa6d1", |second| second.p50),
        ("#2f81c7", |second| second.p95),
        ("#1d3f66", |second| second.p99),
    ];
    for (colour, pick) in lines {
        let path = frame.path(
            load.seconds
                .iter()
                .map(|second| pick(second).map(|value| value as f64)),
        );
        let _ = write!(
            svg,
            r#"<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>"#
        );
    }
    legend(
        &mut svg,
        &[("#7aa6d1", "p50"), ("#2f81c7", "p95"), ("#1d3f66", "p99")],
    );
    svg.push_str("</svg>");
    svg
}

/// Returns the length of the time axis in seconds: the load, and the watch after it.
fn length(report: &RunReport) -> f64 {
    let load = report
        .load
        .as_ref()
        .map_or(0.0, |load| load.seconds.len() as f64);
    report
        .capacity
        .iter()
        .map(|at| at.second)
        .fold(load, f64::max)
        .max(1.0)
}

fn open(title: &str) -> String {
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="100%" role="img" font-family="system-ui, sans-serif"><title>{title}</title>"#
    )
}

/// Draws phase boundaries and names, horizontal lines with their labels, and the time axis.
fn grid(svg: &mut String, report: &RunReport, frame: &Frame, ticks: &[(f64, String)]) {
    let floor = HEIGHT - BOTTOM;
    for (value, label) in ticks {
        let y = frame.y(*value);
        let _ = write!(
            svg,
            r##"<line x1="{LEFT}" x2="{:.1}" y1="{y:.1}" y2="{y:.1}" stroke="#ddd"/><text x="{:.1}" y="{:.1}" font-size="11" fill="#666" text-anchor="end">{label}</text>"##,
            WIDTH - RIGHT,
            LEFT - 6.0,
            y + 4.0
        );
    }
    for phase in report.load.iter().flat_map(|load| &load.phases) {
        let x = frame.x(phase.from.as_secs_f64());
        let name = escape(&phase.row.name);
        let _ = write!(
            svg,
            r##"<line x1="{x:.1}" x2="{x:.1}" y1="{TOP}" y2="{floor}" stroke="#bbb"/><text x="{:.1}" y="{:.1}" font-size="11" fill="#666">{name}</text><text x="{x:.1}" y="{:.1}" font-size="10" fill="#999">{:.0} s</text>"##,
            x + 4.0,
            floor + 14.0,
            floor + 28.0,
            phase.from.as_secs_f64()
        );
    }
}

fn legend(svg: &mut String, entries: &[(&str, &str)]) {
    let mut x = LEFT + 8.0;
    for (colour, name) in entries {
        let _ = write!(
            svg,
            r##"<rect x="{x:.1}" y="3" width="10" height="8" fill="{colour}"/><text x="{:.1}" y="11" font-size="11" fill="#444">{name}</text>"##,
            x + 14.0
        );
        x += 30.0 + 7.0 * name.len() as f64;
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
