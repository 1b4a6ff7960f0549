//! Grids of many parts, each read by its number, with little kept of each.

use std::path::PathBuf;

use half::f16;

use super::page::{Column, Page};
use super::stored::PartFile;
use super::{FeaturePart, KIND};
use crate::table::{TableError, malformed};

/// The grids of some images of a set, on disk: 24 bytes an image are in memory.
#[derive(Default)]
pub struct GridRows {
    parts: Vec<Part>,
    /// Of each grid the number of its part, and its page there.
    rows: Vec<(u32, Page)>,
}

/// What is kept of a part.
struct Part {
    path: PathBuf,
    file: PartFile,
    column: Column,
}

impl GridRows {
    /// Adds some rows of a part.
    pub(super) fn add(&mut self, part: &FeaturePart, rows: &[usize]) {
        let (column, pages) = &part.grid;
        let number = self.parts.len() as u32;
        self.rows.extend(rows.iter().map(|&row| (number, pages[row])));
        self.parts.push(Part { path: part.path.clone(), file: part.file.clone(), column: column.clone() });
    }

    /// Number of grids.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether all parts carry checksums, with which every grid that is read is compared.
    pub fn is_checked(&self) -> bool {
        self.parts.iter().all(|part| part.column.is_checked())
    }

    /// Keeps the grids of these numbers, in their order.
    pub fn select(&mut self, rows: impl IntoIterator<Item = u32>) {
        self.rows = rows.into_iter().map(|row| self.rows[row as usize]).collect();
    }

    /// Appends the grid of row number `row`, `[regions × channels]`, to `grid`.
    ///
    /// # Errors
    ///
    /// The file cannot be read any more, or the page is damaged.
    pub fn append(&self, row: usize, grid: &mut Vec<f16>) -> Result<(), TableError> {
        let (part, page) = self.rows[row];
        let Part { path, file, column } = &self.parts[part as usize];
        let file = file.open().map_err(|source| TableError::Io { path: path.clone(), source })?;
        let bad = |reason| malformed(path, KIND, format!("the grid at byte {}: {reason}", page.offset));
        column.append(file, page, grid).map_err(bad)
    }
}
