//! The rows of a data file in one piece of memory, hardly larger than the file.

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
        for cell in cells {
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
        let holds = |row: &usize| self.cell(*row, column).is_some_and(|cell| cell.is_object());
        (0..self.count).find(holds)
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
