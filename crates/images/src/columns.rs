//! Columns of Parquet files that others wrote: which of them holds pictures, and their values.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray, RecordBatch, StringArray, StructArray};
use arrow_schema::{DataType, Field, Fields, Schema};
use artifacts::table::soundly;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::PageIndexPolicy;
use parquet::schema::types::SchemaDescriptor;
use store::Blob;

use crate::SourceError;

/// Names that people give a column of packed images, the likelier first. The last are img2dataset's, which are those of formats.
const NAMES: [&str; 11] =
    ["image", "images", "img", "picture", "photo", "image_bytes", "bytes", "jpg", "jpeg", "png", "webp"];
/// Children of Hugging Face's image: its bytes, and the name or place of its file.
const BYTES: &str = "bytes";
const PATH: &str = "path";

/// The footer of a file, with the page index if told and there.
///
/// # Errors
/// The file cannot be read, or is none of Parquet.
pub fn open(blob: &Blob, index: PageIndexPolicy) -> Result<ArrowReaderMetadata, SourceError> {
    // The types are Parquet's own: which of Arrow's forms of text and bytes the writer had in memory changes no value.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true).with_page_index_policy(index);
    let load = || ArrowReaderMetadata::load(blob, options).map_err(|error| error.to_string());
    soundly(load).map_err(|reason| SourceError::Parquet { at: blob.at().to_owned(), reason })
}

/// The column of a file that holds its pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageColumn {
    /// Its name, behind those of the structs that it lies in.
    pub names: Vec<String>,
    /// What is in it.
    pub form: Form,
}

/// What a column of pictures holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `struct<bytes: binary, path: string>`, as Hugging Face's datasets write images.
    Struct,
    /// The bytes alone.
    Binary,
    /// A file's path.
    Path,
}

impl ImageColumn {
    /// The column of images in a schema.
    ///
    /// # Errors
    /// There is none, or one that holds several images a row; the message says which columns there are.
    pub fn find(schema: &Schema) -> Result<ImageColumn, String> {
        let of_names = |is: fn(&DataType) -> bool| {
            NAMES.iter().find_map(|name| {
                schema.fields().iter().find(|field| field.name() == name && is(field.data_type()))
            })
        };
        // There may be masks beside the images.
        if let Some(field) = of_names(is_image) {
            return Ok(ImageColumn { names: vec![field.name().clone()], form: Form::Struct });
        }
        if let Some(column) = structs(schema.fields(), &mut Vec::new()) {
            return Ok(column);
        }
        if let Some(field) = of_names(is_binary) {
            return Ok(ImageColumn { names: vec![field.name().clone()], form: Form::Binary });
        }
        if let Some(field) = of_names(is_text) {
            return Ok(ImageColumn { names: vec![field.name().clone()], form: Form::Path });
        }
        let all: Vec<String> =
            schema.fields().iter().map(|field| format!("{}: {}", field.name(), field.data_type())).collect();
        let several = schema.fields().iter().find(|field| is_list_of_images(field));
        let reason = match several {
            Some(field) => {
                format!("{} holds several images a row, and a row is one image here", field.name())
            }
            None => format!(
                "one is a struct of `bytes` and `path`, or is called {} and holds bytes",
                NAMES[..3].join(", ")
            ),
        };
        Err(format!("{reason}; its columns are {}", all.join(", ")))
    }

    /// The leaf that holds the bytes, by its number in the schema of Parquet; none where there are no bytes.
    pub fn leaf(&self, schema: &SchemaDescriptor) -> Option<usize> {
        let inner = match self.form {
            Form::Struct => Some(BYTES),
            Form::Binary => None,
            Form::Path => return None,
        };
        let names: Vec<&str> = self.names.iter().map(String::as_str).chain(inner).collect();
        // Part by part: a name may hold a dot.
        schema.columns().iter().position(|column| column.path().parts() == names)
    }

    /// The values of a batch.
    pub fn values<'a>(&self, batch: &'a RecordBatch) -> Option<Images<'a>> {
        let (first, inner) = self.names.split_first()?;
        let mut column = batch.column_by_name(first)?;
        for name in inner {
            column = column.as_struct_opt()?.column_by_name(name)?;
        }
        Some(match self.form {
            Form::Struct => {
                let image: &StructArray = column.as_struct_opt()?;
                let bytes = image.column_by_name(BYTES).and_then(|bytes| bytes.as_binary_opt());
                let path = image.column_by_name(PATH).and_then(text);
                Images { whole: Some(column), bytes, path }
            }
            Form::Binary => Images { whole: None, bytes: Some(column.as_binary_opt()?), path: None },
            Form::Path => Images { whole: None, bytes: None, path: Some(text(column)?) },
        })
    }
}

/// The first struct of bytes and a path, also inside of other structs.
fn structs(fields: &Fields, names: &mut Vec<String>) -> Option<ImageColumn> {
    for field in fields {
        let DataType::Struct(children) = field.data_type() else { continue };
        names.push(field.name().clone());
        if is_image(field.data_type()) {
            return Some(ImageColumn { names: names.clone(), form: Form::Struct });
        }
        if let Some(found) = structs(children, names) {
            return Some(found);
        }
        names.pop();
    }
    None
}

fn is_image(data_type: &DataType) -> bool {
    let DataType::Struct(children) = data_type else { return false };
    children.find(BYTES).is_some_and(|(_, bytes)| is_binary(bytes.data_type()))
}

fn is_list_of_images(field: &Field) -> bool {
    matches!(field.data_type(), DataType::List(item) if is_image(item.data_type()))
}

fn is_binary(data_type: &DataType) -> bool {
    *data_type == DataType::Binary
}

fn is_text(data_type: &DataType) -> bool {
    *data_type == DataType::Utf8
}

/// The images of a batch.
pub struct Images<'a> {
    /// The struct, which may be null as a whole.
    whole: Option<&'a ArrayRef>,
    bytes: Option<&'a BinaryArray>,
    path: Option<&'a StringArray>,
}

impl<'a> Images<'a> {
    /// The bytes of a row, if it has some.
    pub fn bytes(&self, row: usize) -> Option<&'a [u8]> {
        self.bytes.filter(|bytes| self.is_there(row) && bytes.is_valid(row)).map(|bytes| bytes.value(row))
    }

    /// The name or place of the file of a row, if it says one.
    pub fn path(&self, row: usize) -> Option<&'a str> {
        self.path.filter(|_| self.is_there(row)).and_then(|path| text_of(path, row))
    }

    fn is_there(&self, row: usize) -> bool {
        self.whole.is_none_or(|whole| whole.is_valid(row))
    }
}

/// A column of text, if it is one.
pub fn text(column: &ArrayRef) -> Option<&StringArray> {
    column.as_string_opt()
}

/// The text of a row, unless it is missing.
pub fn text_of(column: &StringArray, row: usize) -> Option<&str> {
    column.is_valid(row).then(|| column.value(row))
}
