//! Lists the resources that a run may have left, from its journal alone. Pure, and on the safe
//! side: an intended resource counts as made.

use super::names::{ResourceNames, Thing};
use super::record::Record;

/// Returns every resource intended and not proven gone since, in the order of deletion.
pub fn leftovers(records: &[Record]) -> Vec<Thing> {
    let mut left: Vec<Thing> = Vec::new();
    let mut names = None;
    for record in records {
        match record {
            Record::Run(run) => names = Some(ResourceNames::of(&run.run)),
            Record::Intent { thing } => left.push(thing.clone()),
            Record::IntentChange { change } => left.push(change.thing()),
            // An apply may have made all of it, whatever it said.
            Record::IntentApply => left.extend(names.iter().flat_map(ResourceNames::things)),
            // A thing that was described and not there. A later intent brings it back.
            Record::Gone { thing } => left.retain(|other| other != thing),
            Record::ChangeBegins
            | Record::Changed
            | Record::Applied
            | Record::ApplyFailed
            | Record::Task { .. }
            | Record::LoadEndedEarly { .. }
            | Record::IntentDestroy
            | Record::Left { .. }
            | Record::Finished { .. } => {}
        }
    }
    left.sort();
    left.dedup();
    left
}

/// True if an apply or a change of the group was begun, and neither its end nor a finished run is in
/// the journal. It may still come true.
pub fn unsettled(records: &[Record]) -> bool {
    let is_open = |begins: fn(&Record) -> bool, settles: fn(&Record) -> bool| {
        let begun = records.iter().rposition(begins);
        begun.is_some_and(|begun| !records.iter().skip(begun).any(settles))
    };
    let apply = is_open(
        |record| matches!(record, Record::IntentApply),
        |record| {
            matches!(
                record,
                Record::Applied | Record::ApplyFailed | Record::Finished { .. }
            )
        },
    );
    let change = is_open(
        |record| matches!(record, Record::ChangeBegins),
        |record| matches!(record, Record::Changed | Record::Finished { .. }),
    );
    apply || change
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::change::{GroupChange, Setting};
    use crate::journal::names::ResourceKind;
    use crate::journal::record::{decode, encode};
    use crate::journal::tests::first;
    use model::units::RunId;
    use proptest::prelude::*;

    fn run() -> RunId {
        RunId::parse("sp-0000000001").unwrap()
    }

    fn begun() -> Record {
        first(run().as_str())
    }

    fn everything() -> Vec<Thing> {
        let mut things = ResourceNames::of(&run()).things();
        things.sort();
        things
    }

    #[test]
    fn an_apply_that_was_meant_may_have_made_everything() {
        let check =
            |records: &[Record], expected: &[Thing]| assert_eq!(leftovers(records), expected);
        let all = everything();
        let gone = |thing: &Thing| Record::Gone {
            thing: thing.clone(),
        };
        check(&[begun()], &[]);
        check(&[begun(), Record::IntentApply], &all);
        check(
            &[begun(), Record::IntentApply, Record::Applied, gone(&all[0])],
            &all[1..],
        );
        check(
            &[
                begun(),
                Record::IntentApply,
                gone(&all[0]),
                Record::IntentApply,
            ],
            &all,
        );
        let mut proven = vec![begun(), Record::IntentApply];
        proven.extend(all.iter().map(gone));
        check(&proven, &[]);
        let thing = Thing {
            kind: ResourceKind::Tasks,
            name: "other".to_owned(),
        };
        check(
            &[
                begun(),
                Record::Intent {
                    thing: thing.clone(),
                },
            ],
            &[thing],
        );
    }

    #[test]
    fn an_apply_is_unsettled_until_its_end_is_known() {
        for (records, expected) in [
            (vec![begun()], false),
            (vec![begun(), Record::IntentApply], true),
            (
                vec![begun(), Record::IntentApply, Record::IntentDestroy],
                true,
            ),
            (vec![begun(), Record::IntentApply, Record::Applied], false),
            (
                vec![begun(), Record::IntentApply, Record::ApplyFailed],
                false,
            ),
            (
                vec![
                    begun(),
                    Record::IntentApply,
                    Record::Applied,
                    Record::IntentApply,
                ],
                true,
            ),
        ] {
            assert_eq!(unsettled(&records), expected, "{records:?}");
        }
    }

    fn changed() -> GroupChange {
        let sizes = |min: &str| [("MinSize".to_owned(), min.to_owned())].into();
        GroupChange::new("web", Setting::Sizes, sizes("2"), sizes("6"))
    }

    #[test]
    fn a_changed_setting_is_left_until_it_is_found_as_before() {
        let intent = Record::IntentChange { change: changed() };
        let gone = Record::Gone {
            thing: changed().thing(),
        };
        let intended = [begun(), intent.clone()];
        assert_eq!(leftovers(&intended), [changed().thing()]);
        assert!(!unsettled(&intended), "nothing was sent");
        let changing = [begun(), intent.clone(), Record::ChangeBegins];
        assert_eq!(leftovers(&changing), [changed().thing()]);
        assert!(unsettled(&changing), "the call may still come true");
        let put = [
            begun(),
            intent.clone(),
            Record::ChangeBegins,
            Record::Changed,
        ];
        assert!(!unsettled(&put));
        assert_eq!(leftovers(&put), [changed().thing()]);
        let exit = model::outcome::Exit::CouldNotRun;
        let finished = [begun(), intent, Record::Changed, Record::Finished { exit }];
        assert_eq!(leftovers(&finished), [changed().thing()], "never forgotten");
        assert_eq!(leftovers(&[finished.to_vec(), vec![gone]].concat()), []);
        let line = encode(0, &intended[1]).unwrap();
        assert_eq!(decode(&line).0, intended[1..]);
    }

    fn any_record() -> impl Strategy<Value = Record> {
        prop_oneof![
            Just(Record::IntentApply),
            Just(Record::Applied),
            Just(Record::IntentDestroy),
            any::<prop::sample::Index>().prop_map(|i| Record::Gone {
                thing: i.get(&everything()).clone()
            }),
            any::<prop::sample::Index>().prop_map(|i| Record::Intent {
                thing: i.get(&everything()).clone()
            }),
            "[a-z \"\n]{0,12}".prop_map(|why| Record::LoadEndedEarly { why }),
        ]
    }

    fn written(records: &[Record]) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for (sequence, record) in records.iter().enumerate() {
            bytes.extend(encode(sequence as u64, record).unwrap());
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        /// However the bytes are torn off or flipped, the records before them stand and none is
        /// misread. So every resource that the surviving prefix intends, and does not report gone,
        /// is still listed.
        #[test]
        fn damage_costs_only_what_follows_it(tail in prop::collection::vec(any_record(), 0..8), mask in 1_u8..=255) {
            let mut records = vec![begun()];
            records.extend(tail);
            let (bytes, ends) = written(&records);
            for at in 0..=bytes.len() {
                let whole = ends.iter().filter(|end| **end <= at).count();
                let (read, good) = decode(&bytes[..at]);
                prop_assert_eq!(&read[..], &records[..whole]);
                prop_assert_eq!(good, if whole == 0 { 0 } else { ends[whole - 1] });
                prop_assert_eq!(leftovers(&read), leftovers(&records[..whole]));
                if at < bytes.len() {
                    let mut flipped = bytes.clone();
                    flipped[at] ^= mask;
                    let read = decode(&flipped).0;
                    // A flip of the case of a hexadecimal digit changes nothing.
                    prop_assert!(read == records[..whole] || read == records, "byte {} of {}", at, bytes.len());
                }
            }
        }
    }
}
