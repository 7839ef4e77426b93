//! The rows of a data file in one piece of memory, hardly larger than the file.

use std::collections::BTreeMap;

/// Ends a cell that is text. No byte of UTF-8 is one of these two.
const TEXT: u8 = 0xff;
/// Ends a cell that is JSON as it stands: a number, `true`, a list.
const JSON: u8 = 0xfe;
/// Cells between two marks: what a look at one cell passes at most.
const CELLS_PER_MARK: usize = 64;

/// Rows of as many cells as the file has columns.
#[derive(Clone, PartialEq, Default)]
pub struct Rows {
    columns: usize,
    count: usize,
    /// Every cell, row after row, each with the byte that ends it.
    cells: Vec<u8>,
    /// The beginning of every so many rows.
    marks: Vec<usize>,
    /// By column, the first row with an object or a list. It is known as the rows come: a look at every
    /// row of a large file takes long.
    objects: BTreeMap<usize, usize>,
}

/// One value of a data file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell<'r> {
    /// The text as it is sent.
    pub text: &'r str,
    /// The text is JSON as it stands.
    pub json: bool,
}

impl Cell<'_> {
    /// True for an object or a list.
    pub fn is_object(&self) -> bool {
        self.json && self.text.starts_with(['{', '['])
    }
}

impl Rows {
    /// Returns a table without rows; its cells will take about this many bytes.
    pub(super) fn new(columns: usize, bytes: usize) -> Self {
        Self {
            columns,
            cells: Vec::with_capacity(bytes),
            ..Self::default()
        }
    }

    /// Adds a row. It has a cell for each column.
    pub(super) fn push<'c>(&mut self, cells: impl Iterator<Item = Cell<'c>>) {
        if self.count.is_multiple_of(self.rows_per_mark()) {
            self.marks.push(self.cells.len());
        }
        for (column, cell) in cells.enumerate() {
            if cell.is_object() {
                self.objects.entry(column).or_insert(self.count);
            }
            self.cells.extend_from_slice(cell.text.as_bytes());
            self.cells.push(if cell.json { JSON } else { TEXT });
        }
        self.count += 1;
    }

    /// Gives back memory that no row took.
    pub(super) fn finished(mut self) -> Self {
        self.cells.shrink_to_fit();
        self.marks.shrink_to_fit();
        self
    }

    fn rows_per_mark(&self) -> usize {
        (CELLS_PER_MARK / self.columns.max(1)).max(1)
    }

    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        self.count
    }

    /// True if there is no row.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the bytes of memory that the rows take.
    pub fn memory(&self) -> usize {
        self.cells.capacity() + self.marks.capacity() * size_of::<usize>()
    }

    /// Returns one cell.
    pub fn cell(&self, row: usize, column: usize) -> Option<Cell<'_>> {
        if row >= self.count || column >= self.columns {
            return None;
        }
        let every = self.rows_per_mark();
        let mut rest = self.cells.get(*self.marks.get(row / every)?..)?;
        for _ in 0..(row % every) * self.columns + column {
            rest = &rest[end(rest)? + 1..];
        }
        let end = end(rest)?;
        Some(Cell {
            text: std::str::from_utf8(&rest[..end]).ok()?,
            json: rest[end] == JSON,
        })
    }

    /// Returns the first row with an object or a list in this column, counted from 0.
    pub(super) fn first_object(&self, column: usize) -> Option<usize> {
        self.objects.get(&column).copied()
    }

    /// Returns rows of texts.
    #[cfg(any(test, feature = "testing"))]
    pub fn of(columns: usize, rows: &[&[&str]]) -> Self {
        let mut all = Self::new(columns, 0);
        for row in rows {
            all.push(row.iter().map(|text| Cell { text, json: false }));
        }
        all
    }
}

/// Shows the size alone: a file may have millions of rows.
impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows")
            .field("columns", &self.columns)
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

fn end(cells: &[u8]) -> Option<usize> {
    cells.iter().position(|byte| *byte >= JSON)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_object_of_a_column_is_known_without_a_look_at_the_rows() {
        let mut rows = Rows::new(2, 0);
        for row in 0..100_000 {
            let text = match row {
                7 | 9 => "[1]",
                _ => "12345678",
            };
            let plain = Cell {
                text: "{",
                json: false,
            };
            rows.push([plain, Cell { text, json: true }].into_iter());
        }
        let rows = rows.finished();
        // Looks cost the same wherever the row is: these would take minutes if each read all rows.
        for _ in 0..1_000 {
            assert_eq!(rows.first_object(0), None, "a text only looks like one");
            assert_eq!(rows.first_object(1), Some(7));
            assert_eq!(rows.first_object(2), None);
        }
    }

    proptest! {
        #[test]
        fn every_cell_is_found_again(
            columns in 1usize..80,
            texts in proptest::collection::vec((".{0,6}", any::<bool>()), 0..400),
        ) {
            let mut rows = Rows::new(columns, 16);
            for row in texts.chunks_exact(columns) {
                rows.push(row.iter().map(|(text, json)| Cell { text, json: *json }));
            }
            let rows = rows.finished();
            prop_assert_eq!(rows.len(), texts.len() / columns);
            for (at, (text, json)) in texts.chunks_exact(columns).flatten().enumerate() {
                let cell = rows.cell(at / columns, at % columns);
                prop_assert_eq!(cell, Some(Cell { text, json: *json }));
            }
            prop_assert_eq!(rows.cell(rows.len(), 0), None);
            prop_assert_eq!(rows.cell(0, columns), None);
        }
    }
}
