//! Content codings: a packed body is unpacked before it is read.

use std::io::Read;

use super::wire::LONGEST_BODY;

/// Unpacks a body that a check or capture reads. Fails if the body cannot be unpacked or becomes
/// too long: then it is not the text that the server meant.
pub(crate) fn decode(coding: &[u8], body: Vec<u8>) -> Result<Vec<u8>, ()> {
    let codings: Vec<String> = String::from_utf8_lossy(coding)
        .split(',')
        .map(|one| one.trim().to_ascii_lowercase())
        .collect();
    // Applied in the order listed, so undone from the last.
    codings
        .iter()
        .rev()
        .try_fold(body, |body, coding| match coding.as_str() {
            "" | "identity" => Ok(body),
            "gzip" | "x-gzip" => bounded(flate2::read::MultiGzDecoder::new(body.as_slice())),
            "deflate" => bounded(flate2::read::ZlibDecoder::new(body.as_slice())),
            "br" => bounded(brotli_decompressor::Decompressor::new(
                body.as_slice(),
                4_096,
            )),
            "zstd" => {
                bounded(ruzstd::decoding::StreamingDecoder::new(body.as_slice()).map_err(|_| ())?)
            }
            _ => Err(()),
        })
}

fn bounded(reader: impl Read) -> Result<Vec<u8>, ()> {
    let mut plain = Vec::new();
    reader
        .take(LONGEST_BODY as u64 + 1)
        .read_to_end(&mut plain)
        .map_err(|_| ())?;
    if plain.len() > LONGEST_BODY {
        Err(())
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
        assert_eq!(decode(b"gzip", b"hello".to_vec()), Err(()));
        assert_eq!(decode(b"compress", b"hello".to_vec()), Err(()));
        assert_eq!(decode(b"gzip, identity", gzip), Ok(b"hello".to_vec()));
    }

    #[test]
    fn a_body_that_explodes_is_refused() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(&vec![0; LONGEST_BODY + 1]).unwrap();
        assert_eq!(decode(b"gzip", gzip.finish().unwrap()), Err(()));
    }
}
