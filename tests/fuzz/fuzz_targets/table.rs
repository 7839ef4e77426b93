//! Any bytes as a data file: its table written again is the same, and the rows of its parts are its
//! rows.
#![no_main]

use model::scenario::{DataFile, Substitutions, divide, read};

// The first byte is the kind of file and the number of its parts.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let [kind, bytes @ ..] = bytes else { return };
    let name = if kind & 1 == 0 {
        "rows.csv"
    } else {
        "rows.jsonl"
    };
    let Some(whole) = table(name, bytes) else {
        return;
    };
    let rows = rows(&whole);
    // Readers take two of these marks away: that of the file, and one more of csv's.
    if whole.columns.iter().any(|name| name.starts_with('\u{feff}')) {
        return;
    }
    let written = match kind & 1 {
        0 => csv_of(&whole, &rows),
        _ => json_lines_of(&whole, &rows),
    };
    let again = table(name, &written).expect("a table that was written is read");
    assert_eq!(again.columns, whole.columns);
    assert_eq!(self::rows(&again), rows);

    let parts = usize::from(kind >> 1) % 4 + 1;
    let Some(divided) = divide(name, bytes, parts as u32) else {
        return;
    };
    assert_eq!(divided.len(), parts);
    for (part, bytes) in divided.iter().enumerate() {
        let own = table(name, bytes).expect("a part is a table");
        assert_eq!(own.columns, whole.columns);
        let expected: Vec<_> = rows.iter().skip(part).step_by(parts).cloned().collect();
        assert_eq!(self::rows(&own), expected, "part {part} of {parts}");
    }
});

type Row = Vec<(String, bool)>;

fn table(name: &str, bytes: &[u8]) -> Option<DataFile> {
    let scenario = format!(
        "name: s\ntarget: {{ url: http://shop.example.com }}\ndata: {{ rows: {{ file: {name} }} }}\n\
         phases: [{{ name: p, users: 1, hold: 1s }}]\nflows: [{{ name: f, steps: [{{ get: / }}] }}]\n"
    );
    let open = |_: &str| Ok(bytes.to_vec());
    let read = read(&scenario, &Substitutions::default(), &open).ok()?;
    read.scenario.data.into_iter().next()
}

fn rows(table: &DataFile) -> Vec<Row> {
    let cell = |row, column| {
        let cell = table
            .rows
            .cell(row, column)
            .expect("every row has every column");
        (cell.text.to_owned(), cell.json)
    };
    let row = |row| {
        (0..table.columns.len())
            .map(|column| cell(row, column))
            .collect()
    };
    (0..table.rows.len()).map(row).collect()
}

fn csv_of(table: &DataFile, rows: &[Row]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer("\u{feff}".as_bytes().to_vec());
    writer.write_record(&table.columns).expect("memory");
    for row in rows {
        let texts = row.iter().map(|(text, _)| text);
        writer.write_record(texts).expect("memory");
    }
    writer.into_inner().expect("memory")
}

fn json_lines_of(table: &DataFile, rows: &[Row]) -> Vec<u8> {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let member = |(column, (text, json)): (&String, &(String, bool))| {
        let value = if *json { text.clone() } else { quoted(text) };
        format!("{}: {value}", quoted(column))
    };
    let line = |row: &Row| {
        let members: Vec<String> = table.columns.iter().zip(row).map(member).collect();
        format!("{{{}}}\n", members.join(", "))
    };
    rows.iter().map(line).collect::<String>().into_bytes()
}
