//! The generators, and the most that they may cost.

use super::fields::FLEET;
use super::node::{Entry, Node};
use super::reader::{Reader, closest};
use super::{Arch, FleetSettings, Problem, TaskCount, TaskSize};
use crate::units::Usd;

const MOST_TASKS: u32 = 500;

/// The task sizes of Fargate: CPU units, then minimum, maximum and step of the memory in GB. 256
/// units also come with half a GB. (Amazon ECS developer guide, task sizes, 2026.)
const SIZES: [(u32, u32, u32, u32); 7] = [
    (256, 1, 2, 1),
    (512, 1, 4, 1),
    (1_024, 2, 8, 1),
    (2_048, 4, 16, 1),
    (4_096, 8, 30, 1),
    (8_192, 16, 60, 4),
    (16_384, 32, 120, 8),
];
const DEFAULT_CPU: u32 = 1_024;

pub(super) fn read(reader: &mut Reader<'_>, entry: Option<&Entry>) -> FleetSettings {
    let members = entry
        .map(|entry| reader.members(&entry.node, &FLEET))
        .unwrap_or_default();
    let cpu = members
        .get("cpu")
        .map_or(Some(DEFAULT_CPU), |node| cpu(reader, node));
    let memory = members.get("memory").map(|node| memory(reader, node, cpu));
    let cpu_units = cpu.unwrap_or(DEFAULT_CPU);
    let memory_mib = memory.flatten().unwrap_or_else(|| least_memory(cpu_units));
    FleetSettings {
        tasks: members
            .get("tasks")
            .and_then(|node| tasks(reader, node))
            .unwrap_or(TaskCount::Auto),
        size: TaskSize {
            cpu_units,
            memory_mib,
        },
        arch: members
            .get("arch")
            .and_then(|node| arch(reader, node))
            .unwrap_or(Arch::X86_64),
        subnets: members
            .get("subnets")
            .map(|node| subnets(reader, node))
            .unwrap_or_default(),
        image: members.get("image").and_then(|node| image(reader, node)),
    }
}

fn cpu(reader: &mut Reader<'_>, node: &Node) -> Option<u32> {
    let vcpu: f64 = reader.number(node, "a number of vCPU", "cpu: 2")?;
    let found = SIZES
        .iter()
        .map(|size| size.0)
        .find(|units| f64::from(*units) == vcpu * 1_024.0);
    if found.is_none() {
        let problem = Problem::new(node.span.clone(), "Fargate has no such cpu");
        reader.report(problem.help("it is one of 0.25, 0.5, 1, 2, 4, 8 and 16"));
    }
    found
}

fn memory(reader: &mut Reader<'_>, node: &Node, cpu: Option<u32>) -> Option<u32> {
    let text = reader.text(node)?;
    let Some(mib) = parse_memory(&text.value) else {
        let message = text.said(
            format!("`{}` is not an amount of memory", text.value),
            "an amount of memory",
        );
        reader.report(
            Problem::new(text.span.clone(), message).help("write it like `4GB` or `512MB`"),
        );
        return None;
    };
    let cpu = cpu?;
    if !offers(cpu, mib) {
        let vcpu = f64::from(cpu) / 1_024.0;
        let message = text.said(
            format!("Fargate does not offer {} with {vcpu} vCPU", text.value),
            "a size Fargate offers",
        );
        reader.report(Problem::new(text.span.clone(), message).help(offer(cpu)));
        return None;
    }
    Some(mib)
}

/// Reads a size in MiB. `GB` and `MB` are 1024 MiB and 1 MiB, as ECS counts.
fn parse_memory(text: &str) -> Option<u32> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let mib = match text[digits..].trim() {
        "GB" | "GiB" => 1_024.0,
        "MB" | "MiB" => 1.0,
        _ => return None,
    };
    let mib = text[..digits].parse::<f64>().ok()? * mib;
    (mib.fract() == 0.0 && (1.0..1e6).contains(&mib)).then_some(mib as u32)
}

fn offers(cpu: u32, mib: u32) -> bool {
    (cpu == 256 && mib == 512)
        || SIZES.iter().any(|&(units, from, to, step)| {
            let gb = mib / 1_024;
            units == cpu
                && mib.is_multiple_of(1_024)
                && (from..=to).contains(&gb)
                && (gb - from).is_multiple_of(step)
        })
}

fn offer(cpu: u32) -> String {
    let least = if cpu == 256 { "0.5GB, " } else { "" };
    let ranges = SIZES.iter().filter(|size| size.0 == cpu);
    let words = ranges.map(|(_, from, to, step)| match step {
        1 => format!("{least}{from}GB to {to}GB"),
        step => format!("{from}GB to {to}GB in steps of {step}GB"),
    });
    format!("with this cpu it can be {}", words.collect::<String>())
}

fn least_memory(cpu: u32) -> u32 {
    let from = SIZES
        .iter()
        .find(|size| size.0 == cpu)
        .map_or(2, |size| size.1);
    if cpu == 256 { 512 } else { from * 1_024 }
}

fn tasks(reader: &mut Reader<'_>, node: &Node) -> Option<TaskCount> {
    let text = reader.text(node)?;
    if text.value == "auto" {
        return Some(TaskCount::Auto);
    }
    let count = text
        .value
        .parse()
        .ok()
        .filter(|count| (1..=MOST_TASKS).contains(count));
    if count.is_none() {
        let message = text.said(
            format!("`{}` is not a number of tasks", text.value),
            "a number of tasks",
        );
        reader.report(
            Problem::new(text.span.clone(), message)
                .help(format!("write `auto`, or 1 to {MOST_TASKS}")),
        );
    }
    count.map(TaskCount::Exactly)
}

fn arch(reader: &mut Reader<'_>, node: &Node) -> Option<Arch> {
    let text = reader.text(node)?;
    let help = match text.value.as_str() {
        "x86_64" => return Some(Arch::X86_64),
        "arm64" => return Some(Arch::Arm64),
        "amd64" | "x64" | "x86-64" => "did you mean `x86_64`?".to_owned(),
        "aarch64" | "graviton" => "did you mean `arm64`?".to_owned(),
        other => closest(other, ["x86_64", "arm64"]).map_or_else(
            || "it is `x86_64` or `arm64`".to_owned(),
            |word| format!("did you mean `{word}`?"),
        ),
    };
    let message = text.said(
        format!("`{}` is not a processor Fargate has", text.value),
        "a processor Fargate has",
    );
    reader.report(Problem::new(text.span.clone(), message).help(help));
    None
}

fn subnets(reader: &mut Reader<'_>, node: &Node) -> Vec<String> {
    let items = reader.items(node, "subnets", "subnet-0123456789abcdef0");
    items
        .iter()
        .filter_map(|item| subnet(reader, item))
        .collect()
}

fn subnet(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = reader.text(node)?;
    let fits = text
        .value
        .strip_prefix("subnet-")
        .is_some_and(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    if !fits {
        let message = text.said(
            format!("`{}` is not a subnet's id", text.value),
            "a subnet's id",
        );
        reader.report(
            Problem::new(text.span.clone(), message).help("like `subnet-0123456789abcdef0`"),
        );
    }
    fits.then_some(text.value)
}

fn image(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = reader.text(node)?;
    let fits = !text.value.is_empty() && text.value.bytes().all(|byte| byte.is_ascii_graphic());
    if !fits {
        let message = text.said("this is not an image reference", "an image reference");
        let help = "like `123456789012.dkr.ecr.eu-west-1.amazonaws.com/spikeproof:1.0`";
        reader.report(Problem::new(text.span.clone(), message).help(help));
    }
    fits.then_some(text.value)
}

pub(super) fn budget(reader: &mut Reader<'_>, node: &Node) -> Option<Usd> {
    let text = reader.text(node)?;
    match parse_usd(&text.value) {
        Ok(dollars) => Some(dollars),
        Err(error) => {
            let message = format!("`{}` is not an amount of US dollars", text.value);
            reader.report(text.refuse("an amount of US dollars", message, error.to_string()));
            None
        }
    }
}

/// Why a text is no amount of US dollars: the error says what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UsdError {
    /// A positive number without `USD` behind it, or with a `$`; holds the number as written.
    #[error("write `{0} USD`")]
    NoUnit(String),
    /// No number, or none above zero.
    #[error("write it like `5 USD`")]
    Number,
}

/// Reads `5 USD`.
pub fn parse_usd(text: &str) -> Result<Usd, UsdError> {
    let amount = text.trim_end_matches("USD").trim().trim_start_matches('$');
    let dollars = amount
        .parse::<f64>()
        .ok()
        .filter(|dollars| dollars.is_finite() && *dollars > 0.0);
    match dollars {
        Some(dollars) if text.ends_with("USD") && !text.contains('$') => Ok(Usd(dollars)),
        Some(_) => Err(UsdError::NoUnit(amount.to_owned())),
        None => Err(UsdError::Number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sizes_that_fargate_offers_are_accepted() {
        for (cpu, memory) in [
            (256, 512),
            (256, 2_048),
            (1_024, 2_048),
            (4_096, 30_720),
            (8_192, 20_480),
            (16_384, 122_880),
        ] {
            assert!(offers(cpu, memory), "{cpu} {memory}");
        }
        for (cpu, memory) in [
            (256, 3_072),
            (512, 512),
            (1_024, 1_024),
            (1_024, 2_049),
            (8_192, 17_408),
            (16_384, 36_864),
        ] {
            assert!(!offers(cpu, memory), "{cpu} {memory}");
        }
        assert!(
            SIZES
                .iter()
                .all(|size| offers(size.0, least_memory(size.0)))
        );
        assert_eq!(
            offer(8_192),
            "with this cpu it can be 16GB to 60GB in steps of 4GB"
        );
    }

    #[test]
    fn memory_is_counted_as_ecs_counts() {
        for (text, mib) in [
            ("4GB", Some(4_096)),
            ("0.5GB", Some(512)),
            ("512 MB", Some(512)),
            ("4", None),
            ("4G", None),
            ("GB", None),
        ] {
            assert_eq!(parse_memory(text), mib, "{text}");
        }
    }
}
