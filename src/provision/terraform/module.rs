//! The terraform module, carried in the binary: what runs is what was tested, wherever the binary
//! goes.

use std::io;
use std::path::Path;

use crate::journal;

macro_rules! embedded {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../terraform/", $name)))),*]
    };
}

/// Name and text of every file of the module.
pub const FILES: &[(&str, &str)] = embedded![
    "bucket.tf",
    "cluster.tf",
    "logs.tf",
    "names.tf",
    "outputs.tf",
    "repository.tf",
    "roles.tf",
    "security_group.tf",
    "task.tf",
    "variables.tf",
    "versions.tf",
];

/// Checksums of the provider's packages, for terraform's own registry.
pub(super) const LOCK: (&str, &str) = (
    ".terraform.lock.hcl",
    include_str!("../../../terraform/.terraform.lock.hcl"),
);

/// Writes the module into `folder`, which is made if missing; what it is in must be there.
pub fn unpack(folder: &Path) -> io::Result<()> {
    journal::subfolder(folder)?;
    for (name, text) in FILES {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::names::{ROLE_PATH, ResourceNames};
    use model::units::RunId;

    fn text(name: &str) -> &'static str {
        FILES.iter().find(|(file, _)| *file == name).unwrap().1
    }

    #[test]
    fn every_file_of_the_module_is_embedded() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../terraform");
        let mut there: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".tf"))
            .collect();
        there.sort();
        let embedded: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
        assert_eq!(there, embedded);
    }

    #[test]
    fn terraform_and_the_journal_use_the_same_names() {
        let run = RunId::parse("sp-0000000001").unwrap();
        let mut said: Vec<(String, String)> = text("names.tf")
            .lines()
            .filter_map(|line| line.trim().split_once('='))
            .map(|(key, value)| {
                let value = value
                    .trim()
                    .trim_matches('"')
                    .replace("${var.run}", run.as_str());
                (
                    key.trim().to_owned(),
                    value.replace("var.run", run.as_str()),
                )
            })
            .collect();
        said.sort();
        let names = ResourceNames::of(&run);
        let mut meant = [
            ("cluster", names.cluster),
            ("family", names.family),
            ("repository", names.repository),
            ("security_group", names.security_group),
            ("log_group", names.log_group),
            ("execution_role", names.execution_role),
            ("task_role", names.task_role),
            ("bucket", names.bucket),
            ("role_path", ROLE_PATH.to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value));
        meant.sort();
        assert_eq!(said, meant);
    }

    #[test]
    fn the_module_names_the_provider_version_we_look_for() {
        let pinned = format!("version = \"{}\"", super::super::provider::VERSION);
        assert!(text("versions.tf").contains(&pinned));
        let locked = format!("version     = \"{}\"", super::super::provider::VERSION);
        assert!(LOCK.1.contains(&locked));
    }

    #[test]
    fn nothing_in_the_module_can_block_a_destroy_or_cost_by_the_hour() {
        for (name, text) in FILES {
            for banned in [
                "data \"",
                "provisioner \"",
                "module \"",
                "aws_nat_gateway",
                "aws_lb\"",
                "aws_vpc_endpoint",
            ] {
                assert!(!text.contains(banned), "{name} contains {banned}");
            }
        }
    }
}
