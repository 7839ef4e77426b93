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

    pub(super) async fn setting(&self, thing: &Thing) -> Result<Presence, InventoryError> {
        let change = self.change(thing)?;
        let call = match change.setting {
            Setting::Policy { .. } => "DescribePolicies",
            Setting::Sizes => "DescribeAutoScalingGroups",
        };
        let Some(now) = self.settings.read(change).await? else {
            return Ok(Presence::Gone {
                evidence: format!("{call}: it does not exist any more"),
            });
        };
        Ok(match change.standing(&now) {
            Standing::AsBefore => Presence::Gone {
                evidence: format!("{call}: as it was before the run"),
            },
            Standing::AsPut => Presence::There {
                evidence: format!("{call}: as the run has put it"),
            },
            Standing::Other => Presence::Foreign {
                evidence: format!(
                    "{call}: somebody else has changed it, so it was left as it is: {}",
                    change.differences(&now).join("; ")
                ),
            },
        })
    }

    /// Writes the setting as it was, if it is as the run put it. Nothing else is overwritten.
    pub(super) async fn put_back(&self, thing: &Thing) -> Result<(), InventoryError> {
        let change = self.change(thing)?;
        match self.settings.read(change).await? {
            Some(now) if change.standing(&now) == Standing::AsPut => {
                Ok(self.settings.put_back(change).await?)
            }
            _ => Ok(()),
        }
    }
}
