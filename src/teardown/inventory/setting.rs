//! Settings of the target's group that the run has changed: whether they are as before, and putting
//! them back.

use super::{Inventory, InventoryError, Presence};
use provision::journal::GroupChange;
use provision::journal::change::{Setting, Standing};
use provision::journal::names::Thing;

impl Inventory {
    fn change(&self, thing: &Thing) -> Result<&GroupChange, InventoryError> {
        let known = self.changes.iter().find(|known| known.thing() == *thing);
        known.ok_or_else(|| InventoryError::UnknownSetting(thing.clone()))
    }

    /// Returns what AWS has changed with a setting that is as before, in words.
    async fn aside(&self, change: &GroupChange) -> String {
        // The setting itself is proven, whatever comes of this look.
        let now = self.settings.aside(change).await.unwrap_or_default();
        let differences = change.aside.differences(&now);
        let said = differences.iter().map(|one| format!("; {one}"));
        said.collect()
    }

    async fn may_change(&self, change: &GroupChange) -> Result<bool, InventoryError> {
        let group = self.settings.group(&change.group).await?;
        Ok(group.is_some_and(|group| group.may_change))
    }

    pub(super) async fn setting(&self, thing: &Thing) -> Result<Presence, InventoryError> {
        let change = self.change(thing)?;
        let call = match change.setting {
            Setting::Policy { .. } => "DescribePolicies",
            Setting::Sizes => "DescribeAutoScalingGroups",
        };
        let Some(now) = self.settings.read(change).await? else {
            return Ok(Presence::Foreign {
                evidence: format!("{call}: it does not exist any more"),
            });
        };
        let differences = change.differences(&now).join("; ");
        let standing = change.standing(&now);
        if standing == Standing::AsBefore && differences.is_empty() {
            let aside = self.aside(change).await;
            return Ok(Presence::Gone {
                evidence: format!("{call}: as it was before the run{aside}"),
            });
        }
        Ok(match standing {
            Standing::AsBefore => Presence::Foreign {
                evidence: format!(
                    "{call}: what the run had changed is as before; the rest is not the run's, and was left as it is: \
                     {differences}"
                ),
            },
            Standing::AsPut => Presence::There {
                evidence: format!("{call}: as the run has put it"),
            },
            // The run has never read its own value back, so this may be AWS's form of it.
            Standing::Other if self.unsettled => Presence::There {
                evidence: format!("{call}: {}", Unexplained(&differences)),
            },
            Standing::Other => Presence::Foreign {
                evidence: format!(
                    "{call}: somebody else has changed it, so it was left as it is: {differences}"
                ),
            },
        })
    }

    /// Writes what still has the run's value as it was. Nothing else is overwritten.
    pub(super) async fn put_back(&self, thing: &Thing) -> Result<(), InventoryError> {
        let change = self.change(thing)?;
        let Some(now) = self.settings.read(change).await? else {
            return Ok(());
        };
        match change.standing(&now) {
            // Without a journal the run proves less: the group's own tag must still permit it.
            Standing::AsPut if self.tagged_only && !self.may_change(change).await? => {
                Err(InventoryError::NoConsent(change.group.clone()))
            }
            Standing::AsPut => Ok(self.settings.put_back(change, &now).await?),
            Standing::Other if self.unsettled => Err(InventoryError::Unexplained(
                Unexplained(&change.differences(&now).join("; ")).to_string(),
            )),
            Standing::AsBefore | Standing::Other => Ok(()),
        }
    }
}

/// A setting that is neither as before nor as the run meant it, and that the run has not read back.
struct Unexplained<'a>(&'a str);

impl std::fmt::Display for Unexplained<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "nobody knows whether this is the run's value or somebody else's, so set it by hand: {}",
            self.0
        )
    }
}
