//! Identifiers that look like AWS's and never repeat on this machine.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};

pub(crate) const ACCOUNT: &str = "123456789012";
pub(crate) const REGION: &str = "eu-west-1";

static NEXT: AtomicU64 = AtomicU64::new(0);

/// Returns this many hexadecimal digits (at most 64), different at each call.
pub(crate) fn hex(digits: usize) -> String {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos();
    let seed = format!(
        "{} {now} {}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    let mut text = format!("{:x}", Sha256::digest(seed));
    text.truncate(digits);
    text
}

pub(crate) fn uuid() -> String {
    let hex = hex(32);
    [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-")
}

/// Returns the `sha256:...` of bytes that a registry stores.
pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}
