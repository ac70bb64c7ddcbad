//! A gate between page reader and decoder. Two encodings announce a count of values once more within the page's
//! data, and the decoder makes room for it unseen: a page of thirty bytes can ask for terabytes, and an allocation
//! that fails is no panic but the end of the process.

use std::fs::File;
use std::iter::once;
use std::sync::Arc;

use parquet::arrow::arrow_reader::RowGroups;
use parquet::basic::Encoding;
use parquet::column::page::{Page, PageIterator, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::serialized_reader::SerializedPageReader;

use super::super::limits::PAGE_LENGTHS_MAX;
use super::rows::RowValues;

/// One row group, each of whose pages passes the gate.
pub(super) struct GatedGroup {
    pub file: Arc<File>,
    pub metadata: Arc<ParquetMetaData>,
    pub group: usize,
}

impl GatedGroup {
    fn row_group(&self) -> &RowGroupMetaData {
        self.metadata.row_group(self.group)
    }
}

impl RowGroups for GatedGroup {
    fn num_rows(&self) -> usize {
        self.row_group().num_rows() as usize
    }

    fn column_chunks(&self, column: usize) -> Result<Box<dyn PageIterator>> {
        let chunk = self.row_group().column(column);
        let pages = GatedPages {
            pages: SerializedPageReader::new(Arc::clone(&self.file), chunk, self.num_rows(), None)?,
            max_def_level: chunk.column_descr().max_def_level(),
            max_rep_level: chunk.column_descr().max_rep_level(),
            rows: RowValues::of(chunk.column_descr().max_rep_level()),
        };
        Ok(Box::new(Chunk(Some(Box::new(pages)))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(once(self.row_group()))
    }

    fn metadata(&self) -> &ParquetMetaData {
        &self.metadata
    }
}

/// The pages of one column chunk, once.
struct Chunk(Option<Box<dyn PageReader>>);

impl Iterator for Chunk {
    type Item = Result<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(Ok)
    }
}

impl PageIterator for Chunk {}

struct GatedPages {
    pages: SerializedPageReader<File>,
    max_def_level: i16,
    max_rep_level: i16,
    /// Of a repeated column.
    rows: Option<RowValues>,
}

impl GatedPages {
    fn admit(&mut self, page: &Page) -> Result<()> {
        self.admit_rows(page).map_err(ParquetError::General)?;
        self.admit_lengths(page)
    }

    /// No row has more values than memory is made for.
    fn admit_rows(&mut self, page: &Page) -> std::result::Result<(), String> {
        let Some(rows) = &mut self.rows else { return Ok(()) };
        let levels = match page {
            Page::DictionaryPage { .. } => return Ok(()),
            Page::DataPage { rep_level_encoding, .. } if *rep_level_encoding != Encoding::RLE => {
                return Err(format!("repetition levels in {rep_level_encoding}, which no writer uses any more"));
            }
            Page::DataPage { buf, .. } => {
                let length = buf.get(..4).and_then(|length| length.try_into().ok()).map(u32::from_le_bytes);
                length.and_then(|length| buf.get(4..)?.get(..length as usize))
            }
            Page::DataPageV2 { buf, rep_levels_byte_len, .. } => buf.get(..*rep_levels_byte_len as usize),
        };
        rows.take(levels.ok_or("repetition levels that are cut off")?, u64::from(page.num_values()))
    }

    fn admit_lengths(&self, page: &Page) -> Result<()> {
        let values = page.num_values() as usize;
        let data = match page {
            Page::DataPage { buf, def_level_encoding, rep_level_encoding, .. } => {
                let data = behind_levels(buf, *rep_level_encoding, self.max_rep_level, values);
                data.and_then(|data| behind_levels(data, *def_level_encoding, self.max_def_level, values))
            }
            Page::DataPageV2 { buf, def_levels_byte_len, rep_levels_byte_len, .. } => {
                (*def_levels_byte_len as usize).checked_add(*rep_levels_byte_len as usize).and_then(|at| buf.get(at..))
            }
            Page::DictionaryPage { .. } => return Ok(()),
        };
        let counts = match page.encoding() {
            Encoding::DELTA_LENGTH_BYTE_ARRAY => data.and_then(|data| Some([announced(data)?, 0])),
            Encoding::DELTA_BYTE_ARRAY => data.and_then(|data| {
                let prefixes = delta(data)?;
                let suffixes = announced(data.get(prefixes.length..)?)?;
                Some([prefixes.count, suffixes])
            }),
            _ => return Ok(()),
        };
        match counts {
            Some(counts) if counts.iter().all(|count| *count <= PAGE_LENGTHS_MAX.min(values as u64)) => Ok(()),
            Some([first, second]) => {
                let most = first.max(second);
                Err(ParquetError::General(format!("a page of {values} values announces the lengths of {most}")))
            }
            None if data.is_some_and(<[u8]>::is_empty) => Ok(()),
            None => Err(ParquetError::General("a page whose lengths are cut off".to_owned())),
        }
    }
}

impl PageReader for GatedPages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.pages.get_next_page()?;
        page.as_ref().map_or(Ok(()), |page| self.admit(page))?;
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.pages.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        self.pages.at_record_boundary()
    }
}

impl Iterator for GatedPages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

/// What follows one kind of levels in a page of the first version.
fn behind_levels(data: &[u8], encoding: Encoding, max_level: i16, values: usize) -> Option<&[u8]> {
    if max_level == 0 {
        return Some(data);
    }
    let length = if encoding == Encoding::RLE {
        4 + u32::from_le_bytes(data.get(..4)?.try_into().ok()?) as usize
    } else {
        let bits = (i16::BITS - max_level.leading_zeros()) as usize;
        (values * bits).div_ceil(8)
    };
    data.get(length..)
}

/// A `DELTA_BINARY_PACKED` stream: how many values it announces, how many bytes it takes.
#[derive(Debug, PartialEq, Eq)]
struct Delta {
    count: u64,
    length: usize,
}

/// The count alone, which stands third in the stream's header.
fn announced(data: &[u8]) -> Option<u64> {
    let mut at = 0;
    varint(data, &mut at)?;
    varint(data, &mut at)?;
    varint(data, &mut at)
}

fn delta(data: &[u8]) -> Option<Delta> {
    let mut at = 0;
    let (block, miniblocks, count) = (varint(data, &mut at)?, varint(data, &mut at)?, varint(data, &mut at)?);
    varint(data, &mut at)?; // the first value
    let values_each = block.checked_div(miniblocks)?;
    let mut left = count.saturating_sub(1);
    while left > 0 {
        varint(data, &mut at)?; // the least delta of the block
        let widths = data.get(at..)?.get(..usize::try_from(miniblocks).ok()?)?;
        at += widths.len();
        for width in widths {
            // A miniblock without values has a width and no bytes.
            if left == 0 {
                break;
            }
            let bytes = u64::from(*width).checked_mul(values_each)? / 8;
            at = at.checked_add(usize::try_from(bytes).ok()?)?;
            left = left.saturating_sub(values_each);
        }
    }
    Some(Delta { count, length: at })
}

fn varint(data: &[u8], at: &mut usize) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = *data.get(*at)?;
        *at += 1;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use parquet::data_type::{ByteArray, ByteArrayType};
    use parquet::file::properties::WriterProperties;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    use super::*;

    /// A file of one optional text column in that encoding.
    fn file(encoding: Encoding) -> File {
        let schema = Arc::new(parse_message_type("message m { optional binary a (UTF8); }").unwrap());
        let properties = WriterProperties::builder().set_dictionary_enabled(false).set_encoding(encoding).build();
        let file = tempfile::tempfile().unwrap();
        let mut writer = SerializedFileWriter::new(file.try_clone().unwrap(), schema, Arc::new(properties)).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let values: Vec<_> = (0..700).map(|at| ByteArray::from(format!("word-{at}").as_str())).collect();
        let levels: Vec<i16> = (0..1400).map(|at| at % 2).collect();
        column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
        file
    }

    fn pages(file: &File) -> (GatedPages, Page) {
        let reader = SerializedFileReader::new(file.try_clone().unwrap()).unwrap();
        let group = GatedGroup {
            file: Arc::new(file.try_clone().unwrap()),
            metadata: Arc::new(reader.metadata().clone()),
            group: 0,
        };
        let chunk = group.row_group().column(0);
        let open = || SerializedPageReader::new(Arc::clone(&group.file), chunk, group.num_rows(), None).unwrap();
        let page = open().get_next_page().unwrap().unwrap();
        (GatedPages { pages: open(), max_def_level: 1, max_rep_level: 0, rows: None }, page)
    }

    #[test]
    fn honest_pages_pass_and_counts_that_lie_do_not() {
        for encoding in [Encoding::DELTA_LENGTH_BYTE_ARRAY, Encoding::DELTA_BYTE_ARRAY] {
            let (mut gate, page) = pages(&file(encoding));
            assert_eq!(page.encoding(), encoding);
            assert!(gate.get_next_page().unwrap().is_some());

            let Page::DataPage { buf, num_values, def_level_encoding, rep_level_encoding, .. } = page else {
                panic!("a page of the first version")
            };
            let values = behind_levels(&buf, def_level_encoding, 1, num_values as usize).unwrap();
            let first = delta(values).unwrap();
            assert_eq!(first.count, 700);
            let header = buf.len() - values.len();
            let lying = |at: usize| {
                // The varints of block (128), miniblocks (4), then the count: 700 = bc 05.
                let mut bytes = buf.to_vec();
                assert_eq!(bytes[at..at + 5], [0x80, 0x01, 0x04, 0xbc, 0x05]);
                bytes.splice(at + 3..at + 5, [0xff, 0xff, 0xff, 0xff, 0xff, 0x3f]);
                Page::DataPage {
                    buf: bytes.into(),
                    num_values,
                    encoding,
                    def_level_encoding,
                    rep_level_encoding,
                    statistics: None,
                }
            };
            let refusal = gate.admit(&lying(header)).unwrap_err().to_string();
            assert!(refusal.contains("lengths"), "{refusal}");
            if encoding == Encoding::DELTA_BYTE_ARRAY {
                let refusal = gate.admit(&lying(header + first.length)).unwrap_err().to_string();
                assert!(refusal.contains("a page of 1400 values announces the lengths of"), "{refusal}");
            }
        }
    }
}
