//! The names that templates may use, each found at once: a scenario may have thousands of them.

use std::collections::HashMap;

use super::DataFile;

/// The values that a flow has captured so far, in their order.
#[derive(Debug, Default)]
pub(super) struct Names {
    all: Vec<String>,
    places: HashMap<String, u16>,
}

impl Names {
    /// Adds a name, unless it is there.
    pub(super) fn add(&mut self, name: &str) {
        if !self.places.contains_key(name) {
            self.places.insert(name.to_owned(), self.all.len() as u16);
            self.all.push(name.to_owned());
        }
    }

    pub(super) fn place(&self, name: &str) -> Option<u16> {
        self.places.get(name).copied()
    }

    pub(super) fn all(&self) -> &[String] {
        &self.all
    }

    pub(super) fn into_all(self) -> Vec<String> {
        self.all
    }
}

impl<'n> FromIterator<&'n str> for Names {
    fn from_iter<I: IntoIterator<Item = &'n str>>(names: I) -> Self {
        let mut all = Self::default();
        for name in names {
            all.add(name);
        }
        all
    }
}

/// The data files of a scenario, and their columns.
#[derive(Debug)]
pub(super) struct Tables<'d> {
    files: &'d [DataFile],
    /// The first of each name, with the places of its columns.
    places: HashMap<&'d str, (u16, HashMap<&'d str, u16>)>,
}

impl<'d> Tables<'d> {
    pub(super) fn of(files: &'d [DataFile]) -> Self {
        let mut places = HashMap::new();
        for (index, file) in (0..).zip(files) {
            let columns = file.columns.iter().map(String::as_str).zip(0..);
            places
                .entry(file.name.as_str())
                .or_insert_with(|| (index, columns.collect()));
        }
        Self { files, places }
    }

    /// Returns a file by its name, and its index.
    pub(super) fn file(&self, name: &str) -> Option<(u16, &'d DataFile)> {
        let (index, _) = self.places.get(name)?;
        Some((*index, self.files.get(usize::from(*index))?))
    }

    /// Returns a file by its index.
    pub(super) fn at(&self, index: u16) -> Option<&'d DataFile> {
        self.files.get(usize::from(index))
    }

    /// Returns the index of a column.
    pub(super) fn column(&self, file: &str, column: &str) -> Option<u16> {
        self.places.get(file)?.1.get(column).copied()
    }

    /// Returns the names of all files, in their order.
    pub(super) fn names(&self) -> impl Iterator<Item = &'d str> {
        self.files.iter().map(|file| file.name.as_str())
    }
}
