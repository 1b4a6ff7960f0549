//! The captions that are trained on: in a file that is written once as a training begins, a few numbers of each in memory.
//!
//! The rows of the table cannot be read one by one: a page of Parquet holds thousands of them. The file has each caption's
//! ids and, where rewards compare them, its words, in the order of the table. Captions are read by position, from several
//! threads at once; the system keeps in memory what it has room for.

use std::cmp::Reverse;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;

use artifacts::tokens::TokenRow;
use metrics::Tokens;

use crate::reward::ended;

/// Bytes that are written at once.
const BLOCK: usize = 1 << 20;
/// A caption with one of these words is not true of the mirror image.
const SIDED: [&str; 2] = ["left", "right"];

/// What is in memory of a caption: 16 bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caption {
    /// Where its ids begin in the file; its words come after them.
    offset: u64,
    /// Number of its image among the features.
    pub(crate) image: u32,
    /// Twice the number of ids, and one more where a side is named.
    length_and_side: u32,
}

impl Caption {
    /// Number of ids.
    pub(crate) fn len(self) -> usize {
        (self.length_and_side / 2) as usize
    }

    /// Whether it names a side, and so is not true of the mirror image.
    pub(crate) fn is_sided(self) -> bool {
        self.length_and_side % 2 == 1
    }
}

/// Captions that are being written.
pub(crate) struct CaptionWriter {
    file: BufWriter<File>,
    written: u64,
    with_words: bool,
    captions: Vec<Caption>,
}

/// Captions that can be read.
pub(crate) struct CaptionFile {
    file: File,
    with_words: bool,
    captions: Vec<Caption>,
}

impl CaptionWriter {
    /// Writes into an empty file; the words only where they are wanted.
    pub(crate) fn new(file: File, with_words: bool) -> CaptionWriter {
        let file = BufWriter::with_capacity(BLOCK, file);
        CaptionWriter { file, written: 0, with_words, captions: Vec::new() }
    }

    /// Adds a caption of the image with this number among the features.
    ///
    /// # Errors
    ///
    /// The disk refuses.
    pub(crate) fn add(&mut self, image: usize, row: TokenRow) -> io::Result<()> {
        let side = row.words.iter().any(|word| SIDED.contains(&word.as_str()));
        self.captions.push(Caption {
            offset: self.written,
            image: image as u32,
            length_and_side: 2 * row.ids.len() as u32 + u32::from(side),
        });
        row.ids.iter().try_for_each(|&id| self.number(id))?;
        if self.with_words {
            let words = serde_json::to_vec(&row.words)?;
            self.number(words.len() as u32)?;
            self.file.write_all(&words)?;
            self.written += words.len() as u64;
        }
        Ok(())
    }

    fn number(&mut self, number: u32) -> io::Result<()> {
        self.written += size_of::<u32>() as u64;
        self.file.write_all(&number.to_le_bytes())
    }

    /// All captions are there.
    ///
    /// # Errors
    ///
    /// The disk refuses.
    pub(crate) fn finish(self) -> io::Result<CaptionFile> {
        let CaptionWriter { file, with_words, mut captions, .. } = self;
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        // What has ended costs nothing where the longest caption of an image stands first.
        captions.sort_unstable_by_key(|caption| (caption.image, Reverse(caption.len()), caption.offset));
        captions.shrink_to_fit();
        Ok(CaptionFile { file, with_words, captions })
    }
}

impl CaptionFile {
    /// All captions, image by image in the order of the features; those of an image longest first, then in the order of the table.
    pub(crate) fn captions(&self) -> &[Caption] {
        &self.captions
    }

    /// The ids of a caption.
    ///
    /// # Errors
    ///
    /// The disk refuses.
    pub(crate) fn ids(&self, caption: Caption) -> io::Result<Vec<u32>> {
        let bytes = self.read(caption.offset, caption.len() * size_of::<u32>())?;
        Ok(bytes.as_chunks().0.iter().map(|&id| u32::from_le_bytes(id)).collect())
    }

    /// The words of a caption as metrics see them, with their end; nothing where they were not wanted.
    ///
    /// # Errors
    ///
    /// The disk refuses.
    pub(crate) fn words(&self, caption: Caption) -> io::Result<Tokens> {
        if !self.with_words {
            return Ok(Tokens::new());
        }
        let place = caption.offset + (caption.len() * size_of::<u32>()) as u64;
        let mut length = [0; size_of::<u32>()];
        self.file.read_exact_at(&mut length, place)?;
        let words = self.read(place + length.len() as u64, u32::from_le_bytes(length) as usize)?;
        Ok(ended(serde_json::from_slice(&words)?))
    }

    fn read(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use artifacts::Split;

    use super::*;

    fn row(words: &[&str], ids: &[u32]) -> TokenRow {
        TokenRow {
            image_id: String::new(),
            caption_id: 0,
            split: Split::Train,
            words: words.iter().map(|&word| word.to_owned()).collect(),
            ids: ids.to_vec(),
            length: ids.len() as u32,
        }
    }

    fn written(with_words: bool, rows: &[(usize, TokenRow)]) -> CaptionFile {
        let mut writer = CaptionWriter::new(tempfile::tempfile().unwrap(), with_words);
        rows.iter().for_each(|(image, row)| writer.add(*image, row.clone()).unwrap());
        writer.finish().unwrap()
    }

    #[test]
    fn captions_are_read_image_by_image_the_longest_first_however_they_came() {
        let rows = [
            (2, row(&["x"], &[1, 9, 2])),
            (0, row(&["two", "words"], &[1, 4, 5, 2])),
            (2, row(&["to", "the", "right"], &[1, 6, 7, 8, 2])),
            (0, row(&["other", "words"], &[1, 6, 5, 2])),
            (2, row(&[], &[1, 2])),
        ];
        let file = written(false, &rows);
        let found: Vec<(u32, Vec<u32>)> =
            file.captions().iter().map(|&caption| (caption.image, file.ids(caption).unwrap())).collect();
        let wanted = [1, 3, 2, 0, 4].map(|number: usize| (rows[number].0 as u32, rows[number].1.ids.clone()));
        assert_eq!(found, wanted, "equally long ones in the order of the table");
        let sided: Vec<bool> = file.captions().iter().map(|caption| caption.is_sided()).collect();
        assert_eq!(sided, [false, false, true, false, false]);
    }

    #[test]
    fn words_come_back_with_their_end_where_they_are_wanted() {
        let strange = ["übergroß", "two\nlines", "\"", ""];
        let rows = [(0, row(&strange, &[1, 3, 2])), (1, row(&[], &[1, 2]))];
        let read = |file: CaptionFile| -> Vec<Tokens> {
            file.captions().iter().map(|&caption| file.words(caption).unwrap()).collect()
        };
        let wanted = [ended(strange.map(str::to_owned).to_vec()), ended(vec![])];
        assert_eq!(read(written(true, &rows)), wanted);
        assert_eq!(read(written(false, &rows)), [Tokens::new(), Tokens::new()]);
    }
}
