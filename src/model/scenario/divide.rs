//! Divides a data file among tasks, so that each is sent only its own rows.

use super::data::is_json_lines;
use crate::json;

/// Returns the file in parts: row `r` is in part `r mod parts`, byte for byte, and each part of a
/// CSV file begins with the line of column names. `None` if a part would have no row, if it would
/// have other columns, or if the file is no table. The parts together take as much memory as the file.
pub fn divide(name: &str, bytes: &[u8], parts: u32) -> Option<Vec<Vec<u8>>> {
    let parts = parts as usize;
    // The columns of JSON lines are those of the first one, and each part has another first one.
    if is_json_lines(name) {
        let mut firsts = lines(bytes).take(parts).map(columns);
        let first = firsts.next()??;
        if firsts.any(|own| own.as_ref() != Some(&first)) {
            return None;
        }
    }
    // The sizes first: a part that grows takes up to twice its size.
    let (mut sizes, mut count) = (vec![0; parts], 0);
    let head = each_row(name, bytes, |row| {
        sizes[count % parts] += row.len();
        count += 1;
    })?;
    if count < parts {
        return None;
    }
    let part = |size: &usize| {
        let mut part = Vec::with_capacity(head.len() + size);
        part.extend_from_slice(head);
        part
    };
    let mut all: Vec<Vec<u8>> = sizes.iter().map(part).collect();
    let mut at = 0;
    // Only the last row of all may lack its line end. One more would belong to a quote that the
    // file leaves open.
    each_row(name, bytes, |row| {
        all[at % parts].extend_from_slice(row);
        at += 1;
    })?;
    Some(all)
}

/// Hands over each row as it is written, and returns the line of column names.
fn each_row<'b>(name: &str, bytes: &'b [u8], row: impl FnMut(&'b [u8])) -> Option<&'b [u8]> {
    match is_json_lines(name) {
        true => {
            lines(bytes).for_each(row);
            Some(&[])
        }
        false => each_record(bytes, row),
    }
}

/// Returns the names in a JSON line, sorted.
fn columns(line: &[u8]) -> Option<Vec<String>> {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let entries = json::entries(std::str::from_utf8(line).ok()?.trim())?;
    let mut names: Vec<String> = entries.into_iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    Some(names)
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    // The same lines as for a reader of the whole file.
    let is_blank =
        |line: &&[u8]| std::str::from_utf8(line).is_ok_and(|text| text.trim().is_empty());
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    lines.filter(move |line| !is_blank(line))
}

/// Hands over each record as it is written, and returns the line of column names.
fn each_record<'b>(bytes: &'b [u8], mut row: impl FnMut(&'b [u8])) -> Option<&'b [u8]> {
    let mut reader = csv::Reader::from_reader(bytes);
    reader.byte_headers().ok()?;
    let begin = line_end(bytes, reader.position())?;
    let mut from = begin;
    let mut record = csv::ByteRecord::new();
    while reader.read_byte_record(&mut record).ok()? {
        let to = line_end(bytes, reader.position())?;
        row(bytes.get(from..to)?);
        from = to;
    }
    bytes.get(..begin)
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
    use crate::scenario::Substitutions;

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

    /// Most memory that this process has had, in bytes.
    fn most_memory() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let number = line.unwrap().split_whitespace().nth(1).unwrap();
        number.parse::<usize>().unwrap() << 10
    }

    /// Measured in a process of its own, that does nothing else.
    #[test]
    fn a_file_of_short_rows_takes_three_times_its_size_while_it_is_read_and_divided() {
        const ALONE: &str = "SPIKEPROOF_TEST_ALONE";
        const ROWS: usize = 2 << 20;
        if std::env::var_os(ALONE).is_none() {
            let name = std::thread::current().name().unwrap().to_owned();
            let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
            alone
                .args(["--exact", &name, "--nocapture"])
                .env(ALONE, "1");
            let output = alone.output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            println!("{said}");
            assert!(
                output.status.success() && said.contains("1 passed"),
                "{said}"
            );
            return;
        }
        let scenario = "name: rows\ntarget: { url: 'http://127.0.0.1:9' }\n\
                        phases: [{ rate: 1/s, hold: 1s }]\ndata: { u: { file: u.csv } }\n\
                        steps: [{ get: '/{{ u.id }}' }]\n";
        let read = |rows: usize| {
            let file = |_: &str| {
                let mut file = Vec::with_capacity(3 + 2 * rows);
                file.extend_from_slice(b"id\n");
                file.resize_with(3 + 2 * rows, Default::default);
                for row in file[3..].chunks_mut(2) {
                    row.copy_from_slice(b"1\n");
                }
                Ok(file)
            };
            crate::scenario::read(scenario, &Substitutions::default(), &file).unwrap()
        };
        // The program itself comes into memory as it is used.
        let few = read(100);
        assert!(divide("u.csv", &few.files["u.csv"], 3).is_some());
        let before = most_memory();
        let read = read(ROWS);
        let of_reading = most_memory() - before;
        let bytes = &read.files["u.csv"];
        let parts = divide("u.csv", bytes, 3).unwrap();
        let of_all = most_memory() - before;
        let size = bytes.len();
        println!("a file of {size} bytes: {of_reading} read, {of_all} divided");
        assert_eq!(
            parts.iter().map(Vec::len).sum::<usize>(),
            size + 2 * "id\n".len()
        );
        assert!(of_all < size * 3 + (1 << 20), "{of_all} bytes for {size}");
    }
}
