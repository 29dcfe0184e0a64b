//! Parquet files as hubs export data sets: one row per sample, its file as bytes in a column,
//! labels beside it.

use std::path::{Path, PathBuf};

use ::parquet::basic::{Compression, ConvertedType, Type as Physical};
use ::parquet::column::reader::ColumnReader;
use ::parquet::data_type::ByteArray;
use ::parquet::errors::{ParquetError, Result as ParquetResult};
use ::parquet::file::reader::{ChunkReader, FileReader, Length, SerializedFileReader};
use ::parquet::record::Field;
use ::parquet::schema::types::{ColumnDescriptor, Type};
use bytes::Bytes;

use super::error::ArchiveError;
use super::file::SharedFile;
use super::guard::catching;
use super::members::{Members, objection};

/// A value of a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    Real(f64),
    Text(String),
    List(Vec<Value>),
}

impl Value {
    /// Its bytes in memory.
    fn bytes(&self) -> usize {
        let content = match self {
            Self::Text(text) => text.len(),
            Self::List(values) => values.iter().map(Self::bytes).sum(),
            Self::Null | Self::Bool(_) | Self::Integer(_) | Self::Real(_) => 0,
        };
        size_of::<Self>() + content
    }
}

/// A parquet file, read by row.
pub struct ParquetTable {
    path: PathBuf,
    file: SharedFile,
    reader: SerializedFileReader<SharedFile>,
    /// The first row of each row group, then the number of all rows.
    starts: Vec<usize>,
    /// The leaf column of files.
    content: Option<usize>,
    names: Vec<String>,
}

impl ParquetTable {
    /// Reads the footer and, where the file has a column of files, their names.
    ///
    /// # Errors
    /// If the file cannot be read, is no parquet file, or is damaged.
    pub fn open(path: &Path) -> Result<Self, ArchiveError> {
        let file = SharedFile::open(path)?;
        let size = file.len();
        let open = || {
            let reader = SerializedFileReader::new(file.clone()).map_err(words)?;
            if let Some(codec) = unsupported(&reader) {
                return Ok(Err(ArchiveError::damaged(
                    path,
                    format!("its columns are compressed by {codec}, which is not supported; snappy and zstd are"),
                )));
            }
            let starts = starts(&reader, size)?;
            let content = content_column(&reader);
            let mut table = Self {
                path: path.to_owned(),
                file: file.clone(),
                reader,
                starts,
                content,
                names: Vec::new(),
            };
            table.names = table.file_names()?;
            Ok(Ok(table))
        };
        let opened = catching(open);
        opened.map_err(|reason| {
            let damaged = ArchiveError::damaged(path, format!("it is no whole parquet file: {reason}"));
            file.or_fault(path, damaged)
        })?
    }

    pub fn rows(&self) -> usize {
        *self.starts.last().expect("starts end with the number of rows")
    }

    pub fn columns(&self) -> Vec<&str> {
        self.fields().iter().map(|field| field.name()).collect()
    }

    pub fn has_files(&self) -> bool {
        self.content.is_some()
    }

    /// Every row's value in the outermost column `name`: numbers, texts, and lists of them.
    ///
    /// # Errors
    /// If there is no such column, it holds something else, or the file is damaged.
    pub fn column(&self, name: &str) -> Result<Vec<Value>, ArchiveError> {
        let read = || {
            let field = self.fields().iter().find(|field| field.name() == name);
            let field = field.ok_or_else(|| format!("there is no such column among {}", self.columns().join(", ")))?;
            let root = Type::group_type_builder("schema").with_fields(vec![field.clone()]);
            let (mut values, mut bytes) = (Vec::new(), 0);
            for row in self
                .reader
                .get_row_iter(Some(root.build().map_err(words)?))
                .map_err(words)?
            {
                let row = row.map_err(words)?;
                let (_, field) = row.get_column_iter().next().ok_or("a row is empty")?;
                let value = value(field)?;
                bytes += value.bytes();
                // a word of a dictionary takes a few bits in each row
                if bytes as u64 > bridle_files::TEXT {
                    return Err(format!("it has more than {} bytes", bridle_files::TEXT));
                }
                values.push(value);
                // a damaged page may repeat itself forever
                if values.len() > self.rows() {
                    return Err("it has more values than rows".to_owned());
                }
            }
            match values.len() == self.rows() {
                true => Ok(values),
                false => Err(format!("it has {} values for {} rows", values.len(), self.rows())),
            }
        };
        catching(read).map_err(|reason| self.failed(&format!("column '{name}'"), reason))
    }

    fn failed(&self, member: &str, reason: String) -> ArchiveError {
        let failed = ArchiveError::member(&self.path, member, reason);
        self.file.or_fault(&self.path, failed)
    }

    fn fields(&self) -> &[::parquet::schema::types::TypePtr] {
        let schema = self.reader.metadata().file_metadata().schema_descr();
        schema.root_schema().get_fields()
    }

    /// The paths beside the files, if they can serve as distinct names; otherwise row numbers.
    fn file_names(&self) -> Result<Vec<String>, String> {
        let Some(content) = self.content else {
            return Ok(Vec::new());
        };
        let numbers = || (0..self.rows()).map(|row| format!("{row:08}")).collect();
        let columns = self.reader.metadata().file_metadata().schema_descr().columns();
        let [group, _] = columns[content].path().parts() else {
            return Ok(numbers());
        };
        let is_path = |column: &ColumnDescriptor| {
            column.path().parts() == [group.as_str(), "path"] && column.physical_type() == Physical::BYTE_ARRAY
        };
        let Some(path) = columns.iter().position(|column| is_path(column)) else {
            return Ok(numbers());
        };
        let mut names = Vec::with_capacity(self.rows());
        for group in 0..self.reader.num_row_groups() {
            let rows = self.starts[group + 1] - self.starts[group];
            names.extend(self.values(group, path, 0, rows)?);
        }
        let mut bytes = 0;
        let texts = names.into_iter().map(|name| {
            let name = name?;
            bytes += name.len() as u64;
            // a long word of a dictionary takes a few bits in each row
            (bytes <= bridle_files::TEXT).then(|| String::from_utf8(name.data().to_vec()).ok())?
        });
        let names: Option<Vec<String>> = texts.collect();
        Ok(names.filter(|names| serve_as_names(names)).unwrap_or_else(numbers))
    }

    /// `count` values of a binary leaf column from row `first` of a row group on.
    fn values(&self, group: usize, leaf: usize, first: usize, count: usize) -> Result<Vec<Option<ByteArray>>, String> {
        let group = self.reader.get_row_group(group).map_err(words)?;
        let ColumnReader::ByteArrayColumnReader(mut column) = group.get_column_reader(leaf).map_err(words)? else {
            return Err("its column is not binary".to_owned());
        };
        if column.skip_records(first).map_err(words)? != first {
            return Err("its row group is shorter than its footer says".to_owned());
        }
        let deepest = group.metadata().column(leaf).column_descr().max_def_level();
        let (mut levels, mut values): (Vec<i16>, Vec<ByteArray>) = (Vec::new(), Vec::new());
        let (records, _, _) = column
            .read_records(count, Some(&mut levels), None, &mut values)
            .map_err(words)?;
        if records != count {
            return Err("its row group is shorter than its footer says".to_owned());
        }
        // a required column has no levels
        levels.resize(count, deepest);
        let mut values = values.into_iter();
        let present = |level: i16| (level == deepest).then(|| values.next()).flatten();
        Ok(levels.into_iter().map(present).collect())
    }
}

/// A compression of its columns that cannot be read.
fn unsupported(reader: &SerializedFileReader<SharedFile>) -> Option<&'static str> {
    let groups = reader.metadata().row_groups().iter();
    groups
        .flat_map(|group| group.columns())
        .find_map(|column| match column.compression() {
            Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::ZSTD(_) => None,
            Compression::GZIP(_) => Some("gzip"),
            Compression::BROTLI(_) => Some("brotli"),
            Compression::LZ4 | Compression::LZ4_RAW => Some("lz4"),
            Compression::LZO => Some("lzo"),
        })
}

/// The first row of each row group. Row counts that the file cannot hold are refused.
fn starts(reader: &SerializedFileReader<SharedFile>, size: u64) -> Result<Vec<usize>, String> {
    let mut starts = vec![0];
    let mut rows = 0_u64;
    for group in reader.metadata().row_groups() {
        let more = u64::try_from(group.num_rows()).map_err(|_| "a row group has a negative number of rows")?;
        rows = rows.saturating_add(more);
        if rows > size {
            return Err("its footer promises more rows than the file has bytes".to_owned());
        }
        starts.push(rows as usize);
    }
    match u64::try_from(reader.metadata().file_metadata().num_rows()) {
        Ok(promised) if promised == rows => Ok(starts),
        _ => Err("its footer contradicts its row groups".to_owned()),
    }
}

/// The first column of files: `bytes` of a group, as hubs store sound and pictures, else a column
/// that is plainly binary.
fn content_column(reader: &SerializedFileReader<SharedFile>) -> Option<usize> {
    let columns = reader.metadata().file_metadata().schema_descr().columns();
    let binary = |column: &ColumnDescriptor| {
        column.physical_type() == Physical::BYTE_ARRAY
            && column.max_rep_level() == 0
            && column.converted_type() == ConvertedType::NONE
            && column.logical_type_ref().is_none()
    };
    let in_group = |column: &ColumnDescriptor| matches!(column.path().parts(), [_, name] if name == "bytes");
    let alone = |column: &ColumnDescriptor| column.path().parts().len() == 1;
    let first = |fits: &dyn Fn(&ColumnDescriptor) -> bool| columns.iter().position(|c| binary(c) && fits(c));
    first(&in_group).or_else(|| first(&alone))
}

fn serve_as_names(names: &[String]) -> bool {
    let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
    distinct.len() == names.len() && names.iter().all(|name| objection(name).is_none())
}

fn value(field: &Field) -> Result<Value, String> {
    Ok(match field {
        Field::Null => Value::Null,
        Field::Bool(value) => Value::Bool(*value),
        Field::Byte(value) => Value::Integer((*value).into()),
        Field::Short(value) => Value::Integer((*value).into()),
        Field::Int(value) => Value::Integer((*value).into()),
        Field::Long(value) => Value::Integer(*value),
        Field::UByte(value) => Value::Integer((*value).into()),
        Field::UShort(value) => Value::Integer((*value).into()),
        Field::UInt(value) => Value::Integer((*value).into()),
        Field::Float(value) => Value::Real((*value).into()),
        Field::Double(value) => Value::Real(*value),
        Field::Str(value) => Value::Text(value.clone()),
        Field::ListInternal(list) => Value::List(list.elements().iter().map(value).collect::<Result<_, _>>()?),
        _ => return Err("it holds neither numbers nor texts".to_owned()),
    })
}

fn words(error: ParquetError) -> String {
    error.to_string()
}

impl Members for ParquetTable {
    fn len(&self) -> usize {
        self.names.len()
    }

    fn name(&self, index: usize) -> &str {
        &self.names[index]
    }

    fn size(&self, _index: usize) -> Option<u64> {
        None
    }

    fn read(&self, index: usize) -> Result<Vec<u8>, ArchiveError> {
        let read = || {
            let content = self.content.ok_or("no column holds files")?;
            let group = self.starts.partition_point(|&start| start <= index) - 1;
            let mut values = self.values(group, content, index - self.starts[group], 1)?;
            let value = values.pop().flatten().ok_or("its content is null")?;
            Ok(value.data().to_vec())
        };
        catching(read).map_err(|reason| self.failed(&self.names[index], reason))
    }
}

impl Length for SharedFile {
    fn len(&self) -> u64 {
        self.len()
    }
}

impl ChunkReader for SharedFile {
    type T = Self;

    fn get_read(&self, start: u64) -> ParquetResult<Self> {
        Ok(self.at(start))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        Ok(self.bytes(start, length as u64)?.into())
    }
}
