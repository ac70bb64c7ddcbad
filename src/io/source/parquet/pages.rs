//! Every page's header, read before any page is decoded: the decoder allocates what a header asks for, and a header
//! of thirty bytes can ask for 2 GiB.
//!
//! Only the sizes and the counts of values are looked at
//! (<https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift>, `PageHeader`).

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::super::limits::{PAGE_HEADER_MAX, PAGE_MAX};
use super::thrift::{INTEGERS, STRUCT, Thrift};

/// Walks the pages of a column chunk of `values` values in the bytes `start..end` of the file. The error is what was
/// found.
pub(super) fn check_pages(file: &File, start: u64, end: u64, values: u64) -> Result<(), String> {
    let mut at = start;
    while at < end {
        let (page, header_length) = read_header(file, at, end)?;
        let body = at + header_length as u64;
        let room = end - body.min(end);
        let (stored, unfolded) = (size(page.stored)?, size(page.unfolded)?);
        if stored > room {
            return Err(format!("a page of {stored} bytes at offset {at}, where {room} are left in its column chunk"));
        }
        if stored.max(unfolded) > PAGE_MAX {
            return Err(format!("a page of {} bytes at offset {at}, more than {PAGE_MAX}", stored.max(unfolded)));
        }
        // Every value of a dictionary takes at least a byte; the decoder makes room for as many as are announced.
        let most = if page.is_dictionary { unfolded } else { values };
        if size(page.values)? > most {
            return Err(format!("a page of {} values at offset {at}, more than {most}", page.values));
        }
        at = body + stored;
    }
    Ok(())
}

fn size(number: i64) -> Result<u64, String> {
    u64::try_from(number).map_err(|_| format!("a page header with the size {number}"))
}

/// What a page header tells.
#[derive(Debug, Default, PartialEq, Eq)]
struct PageHeader {
    stored: i64,
    unfolded: i64,
    values: i64,
    is_dictionary: bool,
}

fn read_header(file: &File, at: u64, end: u64) -> Result<(PageHeader, usize), String> {
    // Most headers have some thirty bytes; one with statistics of long texts has more.
    let mut length = 512;
    loop {
        let room = usize::try_from(end - at).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length.min(room)];
        file.read_exact_at(&mut bytes, at).map_err(|error| format!("no page header at offset {at}: {error}"))?;
        let mut thrift = Thrift::new(&bytes);
        match page_header(&mut thrift) {
            Some(header) => return Ok((header, thrift.at())),
            None if length < room.min(PAGE_HEADER_MAX) => length *= 16,
            None => return Err(format!("no page header at offset {at}: the column is damaged, or encrypted")),
        }
    }
}

/// A known field of another kind than the format's is refused: the decoder reads it without a look at its kind.
fn page_header(thrift: &mut Thrift<'_>) -> Option<PageHeader> {
    let mut header = PageHeader::default();
    let (mut has_stored, mut has_unfolded) = (false, false);
    thrift.fields(|thrift, id, kind| {
        match (id, kind) {
            (2, kind) if INTEGERS.contains(&kind) => (header.unfolded, has_unfolded) = (thrift.integer()?, true),
            (3, kind) if INTEGERS.contains(&kind) => (header.stored, has_stored) = (thrift.integer()?, true),
            // data_page_header, dictionary_page_header, data_page_header_v2: the first field counts values.
            (5 | 7 | 8, STRUCT) => {
                header.is_dictionary |= id == 7;
                thrift.fields(|thrift, id, kind| match (id, kind) {
                    (1, kind) if INTEGERS.contains(&kind) => {
                        header.values = thrift.integer()?;
                        Some(())
                    }
                    (1, _) => None,
                    _ => thrift.skip(kind),
                })?;
            }
            (2 | 3 | 5 | 7 | 8, _) => return None,
            _ => thrift.skip(kind)?,
        }
        Some(())
    })?;
    (has_stored && has_unfolded).then_some(header)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A data page of `unfolded` and `stored` bytes with `values` values, each a varint of one byte.
    fn header(unfolded: u8, stored: u8, values: u8) -> Vec<u8> {
        // type = DATA_PAGE; sizes; data_page_header { num_values, encoding, levels, statistics { max: "zz" } }
        vec![
            0x15,
            0x00,
            0x15,
            unfolded * 2,
            0x15,
            stored * 2,
            0x2c,
            0x15,
            values * 2,
            0x15,
            0,
            0x15,
            6,
            0x15,
            6,
            0x1c,
            0x18,
            2,
            b'z',
            b'z',
            0,
            0,
            0,
        ]
    }

    fn check(bytes: &[u8], values: u64) -> Result<(), String> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        check_pages(&file, 0, bytes.len() as u64, values)
    }

    #[test]
    fn whole_pages_pass_and_false_sizes_do_not() {
        let page = [header(9, 4, 3), vec![0; 4]].concat();
        assert_eq!(check(&[page.clone(), page.clone()].concat(), 6), Ok(()));
        assert!(check(&page, 2).unwrap_err().contains("3 values"));
        assert!(check(&page[..page.len() - 1], 3).unwrap_err().contains("4 bytes at offset 0"));
        assert!(check(&page[..9], 3).unwrap_err().contains("no page header"));
        let huge = [&[0x15, 0, 0x15][..], &[0xfe, 0xff, 0xff, 0xff, 0x0f], &[0x15, 2, 0x4c, 0x15, 2, 0, 0, 0]].concat();
        assert!(check(&huge, 1).unwrap_err().contains("2147483647 bytes"));
    }

    #[test]
    fn deep_or_endless_structs_end() {
        assert_eq!(page_header(&mut Thrift::new(&[0x1c; 4096])), None);
        assert_eq!(page_header(&mut Thrift::new(&[0xff; 64])), None);
    }
}
