//! Any bytes as an answer over HTTP/1.1: it is read or refused, the same in any pieces.
#![no_main]

use engine::fuzzing::{answer, unpacked};

/// What the engine unpacks, and what the documentation promises as the longest body.
const CODINGS: [&[u8]; 5] = [b"gzip", b"deflate", b"br", b"zstd", b"gzip, br"];
const LONGEST_BODY: usize = 16 << 20;

// The first byte is the length of the pieces, the second one says what is kept and unpacked.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let [length, kept, bytes @ ..] = bytes else {
        return;
    };
    let (keeps_all, head_only) = (kept & 1 == 1, kept & 2 == 2);
    let pieces: Vec<&[u8]> = bytes.chunks(usize::from(*length).max(1)).collect();
    let whole = answer(&[bytes], keeps_all, head_only);
    let mut pieced = answer(&pieces, keeps_all, head_only);
    if let Ok(pieced) = &mut pieced {
        pieced.reusable &= pieced.unread == 0;
        pieced.unread = 0;
    }
    assert_eq!(whole, pieced);
    let Ok(whole) = whole else { return };
    assert!(whole.body.len() <= bytes.len(), "longer than what came");
    for (name, value) in &whole.headers {
        assert!(!name.is_empty() && name.is_ascii() && *name == name.to_ascii_lowercase());
        let is_control = |byte: &u8| *byte < b' ' && *byte != b'\t' || *byte == 0x7f;
        assert!(!value.iter().any(is_control), "{name}: {value:?}");
    }
    if keeps_all {
        let coding = CODINGS[usize::from(kept >> 2) % CODINGS.len()];
        let plain = unpacked(coding, whole.body);
        assert!(plain.is_none_or(|plain| plain.len() <= LONGEST_BODY));
    }
});
