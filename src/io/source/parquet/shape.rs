//! How large a footer becomes, told from its bytes before it is decoded: the decoder makes room for as many children
//! as a column announces, and goes as deep as columns nest.
//!
//! (<https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift>, `FileMetaData`)

use super::super::limits::{CHUNKS_MAX, NESTING_MAX, ROW_GROUPS_MAX, SCHEMA_MAX};
use super::thrift::{INTEGERS, LIST, STRUCT, Thrift};

/// What a footer counts.
#[derive(Debug, Default, PartialEq, Eq)]
struct Shape {
    /// Columns and what they are nested in.
    elements: u64,
    /// How deep they nest.
    depth: usize,
    row_groups: u64,
    /// Columns of row groups.
    chunks: u64,
}

/// Refuses a footer that would take more memory or stack than a file deserves.
pub(super) fn check_shape(footer: &[u8]) -> Result<(), String> {
    let shape = shape(&mut Thrift::new(footer)).ok_or("the footer does not parse")?;
    for (count, max, what) in [
        (shape.elements, SCHEMA_MAX as u64, "columns, nested ones included"),
        (shape.depth as u64, NESTING_MAX as u64, "levels of nesting"),
        (shape.row_groups, ROW_GROUPS_MAX as u64, "row groups"),
        (shape.chunks, CHUNKS_MAX, "column chunks"),
    ] {
        if count > max {
            return Err(format!("{count} {what}, more than {max}"));
        }
    }
    Ok(())
}

/// A known field of another kind than the format's is refused: the decoder reads it without a look at its kind.
fn shape(thrift: &mut Thrift<'_>) -> Option<Shape> {
    let mut shape = Shape::default();
    thrift.fields(|thrift, id, kind| match (id, kind) {
        (2, LIST) => schema(thrift, &mut shape),
        (4, LIST) => row_groups(thrift, &mut shape),
        (2 | 4, _) => None,
        _ => thrift.skip(kind),
    })?;
    Some(shape)
}

fn schema(thrift: &mut Thrift<'_>, shape: &mut Shape) -> Option<()> {
    let (count, STRUCT) = thrift.list()? else { return None };
    shape.elements += count;
    // How many children each open column still lacks.
    let mut open: Vec<i64> = Vec::new();
    for _ in 0..count {
        let mut children = 0;
        thrift.fields(|thrift, id, kind| match (id, kind) {
            (5, kind) if INTEGERS.contains(&kind) => {
                children = thrift.integer()?;
                Some(())
            }
            (5, _) => None,
            _ => thrift.skip(kind),
        })?;
        if children < 0 || children as u64 >= count {
            return None;
        }
        if let Some(parent) = open.last_mut() {
            *parent -= 1;
        }
        open.push(children);
        shape.depth = shape.depth.max(open.len());
        while open.last() == Some(&0) {
            open.pop();
        }
    }
    Some(())
}

fn row_groups(thrift: &mut Thrift<'_>, shape: &mut Shape) -> Option<()> {
    let (count, STRUCT) = thrift.list()? else { return None };
    shape.row_groups += count;
    for _ in 0..count {
        thrift.fields(|thrift, id, kind| {
            if id != 1 {
                return thrift.skip(kind);
            }
            let (LIST, (columns, STRUCT)) = (kind, thrift.list()?) else { return None };
            shape.chunks += columns;
            (0..columns).try_for_each(|_| thrift.skip(STRUCT))
        })?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A schema element with so many children, or a leaf.
    fn element(children: u8) -> Vec<u8> {
        // name = "a" (field 4), num_children (field 5)
        if children == 0 { vec![0x48, 1, b'a', 0] } else { vec![0x48, 1, b'a', 0x15, children * 2, 0] }
    }

    fn footer(elements: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = vec![0x15, 2, 0x19, 0xfc];
        let mut count = elements.len();
        while count > 0x7f {
            bytes.push(count as u8 | 0x80);
            count >>= 7;
        }
        bytes.push(count as u8);
        bytes.extend(elements.concat());
        bytes.push(0);
        bytes
    }

    #[test]
    fn what_a_footer_announces_is_counted_and_limited() {
        let flat = footer(&[element(2), element(0), element(0)]);
        let expected = Shape { elements: 3, depth: 2, row_groups: 0, chunks: 0 };
        assert_eq!(shape(&mut Thrift::new(&flat)), Some(expected));
        assert_eq!(check_shape(&flat), Ok(()));
        let mut deep = vec![element(1); 100_000];
        deep.push(element(0));
        assert!(check_shape(&footer(&deep)).unwrap_err().contains("100001 columns"));
        let mut deep = vec![element(1); 40];
        deep.push(element(0));
        assert_eq!(check_shape(&footer(&deep)), Err("41 levels of nesting, more than 32".to_owned()));
        assert!(check_shape(&footer(&[element(9), element(0)])).is_err(), "more children than columns");
        assert!(check_shape(&flat[..flat.len() - 1]).is_err() && check_shape(&[0xff; 99]).is_err());
    }
}
