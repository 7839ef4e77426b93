//! Content codings: a packed body is unpacked before it is read.

use std::io::Read;

use super::wire::LONGEST_BODY;

/// Why a body cannot be unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotPlain {
    /// A coding that the engine does not know.
    Unknown,
    /// The body is not what its coding says, or becomes too long.
    Damaged,
}

/// Unpacks a body that a check or capture reads.
pub(crate) fn decode(coding: &[u8], body: Vec<u8>) -> Result<Vec<u8>, NotPlain> {
    let codings = String::from_utf8_lossy(coding).to_ascii_lowercase();
    let mut body = body;
    // Applied in the order listed, so undone from the last.
    for coding in codings.rsplit(',').map(str::trim) {
        body = match coding {
            // Browsers ignore what follows the last member.
            "gzip" | "x-gzip" => bounded(flate2::read::MultiGzDecoder::new(body.as_slice()))
                .or_else(|_| bounded(flate2::read::GzDecoder::new(body.as_slice())))?,
            // The format of zlib by the standard; many servers leave out its frame.
            "deflate" => bounded(flate2::read::ZlibDecoder::new(body.as_slice()))
                .or_else(|_| bounded(flate2::read::DeflateDecoder::new(body.as_slice())))?,
            "br" => bounded(brotli_decompressor::Decompressor::new(
                body.as_slice(),
                4_096,
            ))?,
            "zstd" => bounded(
                ruzstd::decoding::StreamingDecoder::new(body.as_slice())
                    .map_err(|_| NotPlain::Damaged)?,
            )?,
            coding if is_no_coding(coding) => body,
            _ => return Err(NotPlain::Unknown),
        };
    }
    Ok(body)
}

/// True for words that servers write although the body is not packed: names of character sets, and
/// of ways to carry mail. Browsers pass such a body on as it is.
fn is_no_coding(coding: &str) -> bool {
    const WORDS: [&str; 10] = [
        "",
        "identity",
        "none",
        "null",
        "off",
        "plain",
        "binary",
        "7bit",
        "8bit",
        "aws-chunked",
    ];
    const CHARACTER_SETS: [&str; 7] = [
        "utf-",
        "utf8",
        "utf16",
        "iso-8859",
        "us-ascii",
        "ascii",
        "windows-125",
    ];
    WORDS.contains(&coding) || CHARACTER_SETS.iter().any(|set| coding.starts_with(set))
}

fn bounded(reader: impl Read) -> Result<Vec<u8>, NotPlain> {
    let mut plain = Vec::new();
    reader
        .take(LONGEST_BODY as u64 + 1)
        .read_to_end(&mut plain)
        .map_err(|_| NotPlain::Damaged)?;
    if plain.len() > LONGEST_BODY {
        Err(NotPlain::Damaged)
    } else {
        Ok(plain)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_was_packed_is_unpacked() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"hello").unwrap();
        let gzip = gzip.finish().unwrap();
        assert_eq!(decode(b"gzip", gzip.clone()), Ok(b"hello".to_vec()));
        assert_eq!(
            decode(b"identity", b"hello".to_vec()),
            Ok(b"hello".to_vec())
        );
        // `printf hello | brotli -c`, and `printf hello | zstd -c --no-check`.
        assert_eq!(
            decode(
                b"br",
                vec![0x0b, 0x02, 0x80, 0x68, 0x65, 0x6c, 0x6c, 0x6f, 0x03]
            ),
            Ok(b"hello".to_vec())
        );
        let zstd = vec![
            0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x05, 0x29, 0x00, 0x00, 0x68, 0x65, 0x6c, 0x6c, 0x6f,
        ];
        assert_eq!(decode(b"zstd", zstd), Ok(b"hello".to_vec()));
        assert_eq!(decode(b"gzip", b"hello".to_vec()), Err(NotPlain::Damaged));
        assert_eq!(
            decode(b"compress", b"hello".to_vec()),
            Err(NotPlain::Unknown)
        );
        for none in [
            "UTF-8",
            "none",
            "utf8",
            "ISO-8859-1",
            "binary",
            "aws-chunked",
        ] {
            let body = decode(none.as_bytes(), b"hello".to_vec());
            assert_eq!(body, Ok(b"hello".to_vec()), "{none}");
        }
        assert_eq!(
            decode(b"aws-chunked,gzip", gzip.clone()),
            Ok(b"hello".to_vec())
        );
        // With the frame of zlib and without it.
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(b"hello").unwrap();
        let zlib = zlib.finish().unwrap();
        assert_eq!(decode(b"deflate", zlib.clone()), Ok(b"hello".to_vec()));
        let bare = zlib[2..zlib.len() - 4].to_vec();
        assert_eq!(decode(b"deflate", bare), Ok(b"hello".to_vec()));
        assert_eq!(
            decode(b"gzip, identity", gzip.clone()),
            Ok(b"hello".to_vec())
        );
        let followed = [gzip.as_slice(), b"\0\0 and more"].concat();
        assert_eq!(decode(b"gzip", followed), Ok(b"hello".to_vec()));
        let cut = gzip[..gzip.len() - 1].to_vec();
        assert_eq!(decode(b"gzip", cut), Err(NotPlain::Damaged));
    }

    #[test]
    fn a_body_that_explodes_is_refused() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(&vec![0; LONGEST_BODY + 1]).unwrap();
        assert_eq!(
            decode(b"gzip", gzip.finish().unwrap()),
            Err(NotPlain::Damaged)
        );
    }
}
