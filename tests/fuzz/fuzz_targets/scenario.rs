//! Any text as a scenario: it is read, or refused with problems that can be shown.
#![no_main]

use model::scenario::{Substitutions, read, render};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let open = |name: &str| Ok(name.as_bytes().to_vec());
    if let Err(problems) = read(text, &Substitutions::default(), &open) {
        assert!(!problems.is_empty(), "refused without a reason");
        render("any.yaml", text, &problems, false);
    }
});
