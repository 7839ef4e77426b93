//! A body in pieces, each of which carries a signature that continues the one before it: S3's
//! `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`, with or without headers after the last piece.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html>

use super::canonical::digest;
use super::{Seal, SignatureError};
use crate::secret::same;

/// Checks the signature of every piece, and of the headers after the last one.
pub(super) fn verify(seal: &Seal<'_>, first: &str, body: &[u8]) -> Result<(), SignatureError> {
    let mut previous = first.to_owned();
    let mut rest = body;
    loop {
        let (head, after) = line(rest)?;
        let (size, signature) = head.split_once(";chunk-signature=").ok_or(BROKEN)?;
        let size = usize::from_str_radix(size, 16).map_err(|_| BROKEN)?;
        let (data, after) = after.split_at_checked(size).ok_or(BROKEN)?;
        let right = seal.continued("PAYLOAD", &[&previous, &digest(b""), &digest(data)]);
        if !same(&right, signature) {
            return Err(SignatureError::Mismatch);
        }
        signature.clone_into(&mut previous);
        if size == 0 {
            return trailers(seal, &previous, after);
        }
        rest = after.strip_prefix(b"\r\n").ok_or(BROKEN)?;
    }
}

/// Checks what follows the last piece: nothing, or headers and their signature.
fn trailers(seal: &Seal<'_>, previous: &str, mut rest: &[u8]) -> Result<(), SignatureError> {
    let mut headers = String::new();
    loop {
        let (text, after) = match rest {
            [] => ("", rest),
            rest => line(rest)?,
        };
        match text.split_once(':') {
            Some(("x-amz-trailer-signature", signature)) => {
                let right = seal.continued("TRAILER", &[previous, &digest(headers.as_bytes())]);
                return match same(&right, signature.trim()) {
                    true => Ok(()),
                    false => Err(SignatureError::Mismatch),
                };
            }
            Some((name, value)) => headers.push_str(&format!("{name}:{}\n", value.trim())),
            // Headers without a signature are not what was signed.
            None if headers.is_empty() => return Ok(()),
            None => return Err(SignatureError::Mismatch),
        }
        rest = after;
    }
}

const BROKEN: SignatureError = SignatureError::Form("the body is not in pieces as it says");

/// Splits off one line.
fn line(bytes: &[u8]) -> Result<(&str, &[u8]), SignatureError> {
    let end = memchr::memmem::find(bytes, b"\r\n").ok_or(BROKEN)?;
    let text = std::str::from_utf8(&bytes[..end]).map_err(|_| BROKEN)?;
    Ok((text, &bytes[end + 2..]))
}
