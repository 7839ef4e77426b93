//! Any bytes as a journal: what is read is written again as it was, and a journal cut short tells
//! the beginning of the same story.
#![no_main]

use provision::journal::record::{decode, encode};
use provision::journal::{Record, changes, leftovers, unsettled};

// A first byte of `j` stands for lines of JSON, which get their lengths and checksums here.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    match bytes {
        [b'j', lines @ ..] => {
            let lines = lines.split(|byte| *byte == b'\n');
            let records = lines.filter_map(|line| serde_json::from_slice(line).ok());
            let records: Vec<Record> = records.collect();
            let journal = written(&records);
            assert_eq!(decode(&journal), (records, journal.len()));
            holds(&journal);
        }
        journal => holds(journal),
    }
});

fn holds(journal: &[u8]) {
    let (records, good) = decode(journal);
    assert!(good <= journal.len());
    assert_eq!(decode(&written(&records)).0, records);
    for cut in [good / 3, good / 2, good.saturating_sub(1)] {
        let (fewer, length) = decode(&journal[..cut]);
        assert!(length <= cut && records.starts_with(&fewer));
    }
    let left = leftovers(&records);
    assert!(left.is_sorted() && left.windows(2).all(|two| two[0] != two[1]));
    unsettled(&records);
    for change in changes(&records) {
        assert!(left.contains(&change.thing()));
    }
}

fn written(records: &[Record]) -> Vec<u8> {
    let lines = (0..).zip(records);
    let lines = lines.map(|(number, record)| encode(number, record).expect("JSON"));
    lines.collect::<Vec<_>>().concat()
}
