//! Divides a data file among tasks, so that each is sent only its own rows.

use super::data::is_json_lines;
use crate::json;

/// Returns the file in parts: row `r` is in part `r mod parts`, byte for byte, and each part of a
/// CSV file begins with the line of column names. `None` if a part would have no row, if it would
/// have other columns, or if the file is no table.
pub fn divide(name: &str, bytes: &[u8], parts: u32) -> Option<Vec<Vec<u8>>> {
    let (head, rows) = match is_json_lines(name) {
        true => (&bytes[..0], lines(bytes)),
        false => records(bytes)?,
    };
    // The columns of JSON lines are those of the first one, and each part has another first one.
    if is_json_lines(name) {
        let firsts = rows.iter().take(parts as usize);
        let columns: Option<Vec<Vec<String>>> = firsts.map(|row| columns(row)).collect();
        let columns = columns?;
        if columns.iter().any(|own| Some(own) != columns.first()) {
            return None;
        }
    }
    let mut all = vec![head.to_vec(); parts as usize];
    let mut count = 0;
    for row in rows {
        let part = all.get_mut(count % parts as usize)?;
        // Only the last row of all may lack its line end. One more would belong to a quote that the
        // file leaves open.
        part.extend_from_slice(row);
        count += 1;
    }
    (count >= parts as usize).then_some(all)
}

/// Returns the names in a JSON line, sorted.
fn columns(line: &[u8]) -> Option<Vec<String>> {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let entries = json::entries(std::str::from_utf8(line).ok()?.trim())?;
    let mut names: Vec<String> = entries.into_iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    Some(names)
}

fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    // The same lines as for a reader of the whole file.
    let is_blank =
        |line: &&[u8]| std::str::from_utf8(line).is_ok_and(|text| text.trim().is_empty());
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    lines.filter(|line| !is_blank(line)).collect()
}

/// Returns the line of column names, and each record as it is written.
fn records(bytes: &[u8]) -> Option<(&[u8], Vec<&[u8]>)> {
    let mut reader = csv::Reader::from_reader(bytes);
    reader.byte_headers().ok()?;
    let begin = line_end(bytes, reader.position())?;
    let (mut from, mut rows) = (begin, Vec::new());
    let mut record = csv::ByteRecord::new();
    while reader.read_byte_record(&mut record).ok()? {
        let to = line_end(bytes, reader.position())?;
        rows.push(bytes.get(from..to)?);
        from = to;
    }
    Some((bytes.get(..begin)?, rows))
}

/// Returns the end of the line that a reader stands at: of `\r\n` it has passed one byte only.
fn line_end(bytes: &[u8], position: &csv::Position) -> Option<usize> {
    let at = usize::try_from(position.byte()).ok()?;
    let within = at > 0 && bytes.get(at - 1) == Some(&b'\r') && bytes.get(at) == Some(&b'\n');
    Some(at + usize::from(within))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_has_its_own_rows_as_they_are_written() {
        let texts = |name: &str, text: &str, parts| {
            let parts = divide(name, text.as_bytes(), parts)?;
            let text = |part: Vec<u8>| String::from_utf8(part).unwrap();
            Some(parts.into_iter().map(text).collect::<Vec<_>>())
        };
        let csv = "\u{feff}a,b\r\n1,\"x\ny\"\r\n2,\"\"\"\"\r\n3,z";
        let wanted = [
            "\u{feff}a,b\r\n1,\"x\ny\"\r\n3,z",
            "\u{feff}a,b\r\n2,\"\"\"\"\r\n",
        ];
        assert_eq!(texts("u.csv", csv, 2).unwrap(), wanted);
        let lines = "{\"a\": 1}\n\n{\"a\": 2}\n{\"a\": 3}";
        let wanted = ["{\"a\": 1}\n{\"a\": 3}", "{\"a\": 2}\n"];
        assert_eq!(texts("u.JSONL", lines, 2).unwrap(), wanted);
        let open = texts("u.csv", "a\n1\n\"x", 2).unwrap();
        assert_eq!(open, ["a\n1\n", "a\n\"x"], "a quote that is not closed");
        let blank = "{\"a\": 1}\n{\"a\": 2}\n\u{a0}\n{\"a\": 3}";
        assert_eq!(texts("u.jsonl", blank, 2).unwrap(), wanted);
        assert_eq!(texts("u.csv", csv, 4), None, "a part would be empty");
        let more = "{\"id\": 1}\n{\"id\": 2, \"vip\": true}\n{\"id\": 3}\n{\"id\": 4}\n";
        assert_eq!(
            texts("u.jsonl", more, 2),
            None,
            "the second part would lack `vip`"
        );
        assert_eq!(
            texts("u.jsonl", "{\"b\": 1, \"a\": 2}\n{\"a\": 1, \"b\": 2}\n", 2)
                .unwrap()
                .len(),
            2
        );
    }
}
