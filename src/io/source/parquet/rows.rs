//! How many values the rows of a repeated column have, told from its repetition levels before it is decoded: a run of
//! five bytes can put a billion values into one row, and a row is decoded as a whole.

use super::super::limits::ROW_VALUES_MAX;

/// The rows of one column chunk, page by page.
#[derive(Debug)]
pub(super) struct RowValues {
    /// Bits of a level.
    bits: u32,
    /// Values of the row that is open.
    open: u64,
}

impl RowValues {
    /// A chunk whose levels go up to `max_level`; `None` where a row has one value.
    pub fn of(max_level: i16) -> Option<RowValues> {
        (max_level > 0).then(|| RowValues { bits: i16::BITS - max_level.leading_zeros(), open: 0 })
    }

    /// Takes a page's levels, in the hybrid of runs and packed bits; there are `count` of them.
    pub fn take(&mut self, levels: &[u8], count: u64) -> Result<(), String> {
        self.walk(levels, count).ok_or_else(|| "repetition levels that are cut off".to_owned())?
    }

    fn walk(&mut self, levels: &[u8], count: u64) -> Option<Result<(), String>> {
        let (mut at, mut left) = (0, count);
        while left > 0 {
            let head = varint(levels, &mut at)?;
            if head & 1 == 0 {
                let bytes = levels.get(at..)?.get(..self.bits.div_ceil(8) as usize)?;
                at += bytes.len();
                let level = bytes.iter().rev().fold(0_u64, |level, byte| level << 8 | u64::from(*byte));
                let run = (head >> 1).min(left);
                left -= run;
                // A run of row beginnings leaves the last row with one value.
                if let Err(found) = self.add(level, if level == 0 { run.min(1) } else { run }) {
                    return Some(Err(found));
                }
                if run == 0 {
                    return None;
                }
            } else {
                let groups = usize::try_from(head >> 1).ok().filter(|groups| *groups > 0)?;
                let length = groups.checked_mul(self.bits as usize)?;
                let bytes = levels.get(at..).map(|rest| &rest[..length.min(rest.len())])?;
                at += bytes.len();
                let packed = (groups as u64).checked_mul(8)?.min(left);
                for index in 0..packed {
                    let level = unpack(bytes, index, self.bits)?;
                    if let Err(found) = self.add(level, 1) {
                        return Some(Err(found));
                    }
                }
                left -= packed;
            }
        }
        Some(Ok(()))
    }

    fn add(&mut self, level: u64, count: u64) -> Result<(), String> {
        self.open = if level == 0 { count } else { self.open.saturating_add(count) };
        if self.open > ROW_VALUES_MAX {
            return Err(format!("a row of more than {ROW_VALUES_MAX} values"));
        }
        Ok(())
    }
}

/// Level `index` of packed ones, the lowest bits first.
fn unpack(bytes: &[u8], index: u64, bits: u32) -> Option<u64> {
    let first = index.checked_mul(u64::from(bits))?;
    (0..bits).try_fold(0, |level, bit| {
        let at = first + u64::from(bit);
        let byte = bytes.get(usize::try_from(at / 8).ok()?)?;
        Some(level | u64::from(byte >> (at % 8) & 1) << bit)
    })
}

fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
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
    use super::*;

    fn take(pages: &[(&[u8], u64)]) -> Result<(), String> {
        let mut rows = RowValues::of(1).unwrap();
        pages.iter().try_for_each(|(levels, count)| rows.take(levels, *count))
    }

    #[test]
    fn rows_are_measured_across_runs_and_pages() {
        assert!(RowValues::of(0).is_none());
        // A run of 64 zeros; a zero and seven ones, packed.
        assert_eq!(take(&[(&[0x80, 0x01, 0x00], 64), (&[0x03, 0xfe], 8)]), Ok(()));
        // A zero, then runs of ones: one less than there may be, and one more.
        let run = |count: u64| vec![(count << 1) as u8 | 0x80, (count >> 6) as u8, 1];
        let row = [&[0x02, 0x00][..], &run(ROW_VALUES_MAX - 1)].concat();
        assert_eq!(take(&[(&row, ROW_VALUES_MAX)]), Ok(()));
        let told = take(&[(&row, ROW_VALUES_MAX), (&[0x02, 0x01], 1)]).unwrap_err();
        assert!(told.contains("a row of more than 4096 values"), "{told}");
        let huge = [0xfe, 0xff, 0xff, 0xff, 0x0f, 0x01];
        assert!(take(&[(&huge, 2_147_483_647)]).is_err());
        assert!(
            take(&[(&[0x80], 1)]).is_err() && take(&[(&[0x00, 0x00], 1)]).is_err() && take(&[(&[0x03], 1)]).is_err()
        );
    }
}
