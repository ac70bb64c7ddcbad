//! The cells of one row as text: one buffer for all rows, so that a row costs no allocation.

/// The cells of one row, in the file's column order. `None` is an absent cell.
#[derive(Clone, Copy, Debug)]
pub struct Cells<'a> {
    text: &'a str,
    spans: &'a [Option<(u32, u32)>],
}

impl<'a> Cells<'a> {
    /// Cell `at`; `None` where it is absent, or where the record could not be split and has no cells at all.
    pub fn get(&self, at: usize) -> Option<&'a str> {
        let (start, end) = self.spans.get(at).copied().flatten()?;
        Some(&self.text[start as usize..end as usize])
    }

    /// How many cells the row has: as many as the header.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Bytes of their text.
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Whether there are none: the record could not be split.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// All cells, in order.
    pub fn iter(&self) -> impl Iterator<Item = Option<&'a str>> + use<'a> {
        let cells = *self;
        (0..cells.len()).map(move |at| cells.get(at))
    }
}

/// Where the cells of the current row are gathered.
#[derive(Debug, Default)]
pub(super) struct CellBuffer {
    text: String,
    spans: Vec<Option<(u32, u32)>>,
}

impl CellBuffer {
    /// Forgets the last row.
    pub fn clear(&mut self) {
        self.text.clear();
        self.spans.clear();
    }

    /// Adds a cell that `write` appends to the text; one that stays empty, or is one of `null_values`, is absent.
    /// A `write` that fails leaves the cell absent, and its error is passed on.
    pub fn push<E>(
        &mut self,
        null_values: &[String],
        write: impl FnOnce(&mut String) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = self.text.len();
        let written = write(&mut self.text);
        let cell = &self.text[start..];
        if written.is_err() || cell.is_empty() || null_values.iter().any(|null| null == cell) {
            self.text.truncate(start);
            self.spans.push(None);
        } else {
            let place = |at: usize| u32::try_from(at).expect("a row's text is capped far below 4 GiB");
            self.spans.push(Some((place(start), place(self.text.len()))));
        }
        written
    }

    /// Bytes of the row's text so far.
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// The row.
    pub fn cells(&self) -> Cells<'_> {
        Cells { text: &self.text, spans: &self.spans }
    }
}
