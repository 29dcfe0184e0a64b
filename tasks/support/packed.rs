//! Small archives made by tests, in the forms in which data sets are handed out.

use std::io::Write;
use std::sync::Arc;

use ::parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use ::parquet::schema::parser::parse_message_type;
use ::zip::write::SimpleFileOptions;
use ::zip::{CompressionMethod, ZipWriter};

/// Names and contents.
pub(crate) type Files = Vec<(String, Vec<u8>)>;

/// A zip file.
pub(crate) fn zip_of(files: &Files, method: CompressionMethod) -> Vec<u8> {
    let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in files {
        let options = SimpleFileOptions::default().compression_method(method);
        writer.start_file(name.as_str(), options).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A tar file, in which names may be what they may not.
pub(crate) fn tar_of(files: &Files) -> Vec<u8> {
    let mut builder = ::tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = ::tar::Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, content.as_slice()).unwrap();
    }
    builder.into_inner().unwrap()
}

/// A column of a parquet file.
pub(crate) enum Column<'a> {
    /// Files as hubs have them: a group of bytes and path.
    Files(&'a str, Files),
    /// Words.
    Texts(&'a str, Vec<String>),
    /// Whole numbers.
    Numbers(&'a str, Vec<i64>),
}

impl Column<'_> {
    fn schema(&self) -> String {
        match self {
            Self::Files(name, _) => {
                format!("optional group {name} {{ optional binary bytes; optional binary path (UTF8); }}")
            }
            Self::Texts(name, _) => format!("optional binary {name} (UTF8);"),
            Self::Numbers(name, _) => format!("optional int64 {name};"),
        }
    }

    fn rows(&self) -> usize {
        match self {
            Self::Files(_, files) => files.len(),
            Self::Texts(_, texts) => texts.len(),
            Self::Numbers(_, numbers) => numbers.len(),
        }
    }

    fn write(&self, rows: std::ops::Range<usize>, group: &mut SerializedRowGroupWriter<'_, &mut Vec<u8>>) {
        match self {
            Self::Files(_, files) => {
                binary(group, files[rows.clone()].iter().map(|(_, content)| content.clone()), 2);
                binary(group, files[rows].iter().map(|(name, _)| name.clone().into_bytes()), 2);
            }
            Self::Texts(_, texts) => binary(group, texts[rows].iter().map(|text| text.clone().into_bytes()), 1),
            Self::Numbers(_, numbers) => {
                let mut column = group.next_column().unwrap().unwrap();
                let levels = vec![1; rows.len()];
                let writer = column.typed::<Int64Type>();
                writer.write_batch(&numbers[rows], Some(&levels), None).unwrap();
                column.close().unwrap();
            }
        }
    }
}

fn binary(group: &mut SerializedRowGroupWriter<'_, &mut Vec<u8>>, values: impl Iterator<Item = Vec<u8>>, level: i16) {
    let values: Vec<ByteArray> = values.map(ByteArray::from).collect();
    let mut column = group.next_column().unwrap().unwrap();
    let levels = vec![level; values.len()];
    let writer = column.typed::<ByteArrayType>();
    writer.write_batch(&values, Some(&levels), None).unwrap();
    column.close().unwrap();
}

/// A parquet file as hubs write them: snappy, `group` rows in each row group.
pub(crate) fn parquet_of(columns: &[Column], group: usize) -> Vec<u8> {
    let fields: String = columns.iter().map(Column::schema).collect();
    let schema = Arc::new(parse_message_type(&format!("message schema {{ {fields} }}")).unwrap());
    let compression = ::parquet::basic::Compression::SNAPPY;
    let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, properties).unwrap();
    let rows = columns[0].rows();
    for first in (0..rows).step_by(group) {
        let mut rows_of_group = writer.next_row_group().unwrap();
        let range = first..rows.min(first + group);
        columns
            .iter()
            .for_each(|column| column.write(range.clone(), &mut rows_of_group));
        rows_of_group.close().unwrap();
    }
    writer.close().unwrap();
    bytes
}
