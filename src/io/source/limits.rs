//! What one hostile file may cost, in one place. Each number bounds memory or time; none binds an honest export.

/// Bytes of one CSV record, and of one Parquet row's text. One unclosed quote made a 20.9 MB record.
pub const RECORD_MAX: usize = 1024 * 1024;

/// What our appended columns may add to a record of a failure file (`_message`, `_raw` ...), so that the largest
/// record still replays.
pub const TAIL_MAX: usize = 512 * 1024;

/// Bytes of an unsplittable record that the failure file keeps in `_raw`; in base64 they fit [`TAIL_MAX`].
pub const RAW_MAX: usize = 256 * 1024;

/// Columns of one file.
pub const COLUMNS_MAX: usize = 4096;

/// Input files of one run: a seat has 16 bits for its source.
pub const INPUTS_MAX: usize = u16::MAX as usize;

/// Bytes that one compressed CSV may unfold to: 10^8 rows of a kilobyte.
pub const UNFOLDED_MAX: u64 = 100 * 1024 * 1024 * 1024;

/// How many bytes one stored byte may unfold to, judged from [`RATIO_FROM`] on. Exports reach 30; a bomb 1,000.
pub const RATIO_MAX: u64 = 250;

/// Unfolded bytes before the ratio is judged: a small file of equal rows is no bomb.
pub const RATIO_FROM: u64 = 64 * 1024 * 1024;

/// log2 of the window that a zstd stream may ask for: 32 MiB, what `zstd -20` uses. `--long=27` would want 128 MiB.
pub const ZSTD_WINDOW_LOG_MAX: u32 = 25;

/// Bytes of a Parquet footer; decoded it takes several times as much. A thousand row groups of thirty columns are 4 MB.
pub const FOOTER_MAX: u64 = 8 * 1024 * 1024;

/// Row groups of one Parquet file.
pub const ROW_GROUPS_MAX: usize = 32 * 1024;

/// Columns of one Parquet file, nested ones and what they are nested in included.
pub const SCHEMA_MAX: usize = 4 * COLUMNS_MAX;

/// How deep columns of a Parquet file nest: the decoder recurses as deep.
pub const NESTING_MAX: usize = 32;

/// Columns of all row groups of one Parquet file; decoded, each takes half a kilobyte.
pub const CHUNKS_MAX: u64 = 128 * 1024;

/// Bytes of one Parquet page, before and after decompression. Writers aim at 1 MiB; the 2 GiB page of
/// `large_string_map.brotli.parquet` is what this is for.
pub const PAGE_MAX: u64 = 16 * 1024 * 1024;

/// Values of one Parquet page whose lengths are delta-encoded: the decoder holds them all. Writers put 20,000 in a page.
pub const PAGE_LENGTHS_MAX: u64 = 4 * 1024 * 1024;

/// Values of one row of a nested Parquet column: a row is decoded as a whole. Embeddings have 3,072.
pub const ROW_VALUES_MAX: u64 = 4096;

/// Bytes of a Parquet value of fixed length: the decoder makes room for a batch of them.
pub const FIXED_LENGTH_MAX: i32 = 64 * 1024;

/// Bytes of one Parquet page header, statistics included.
pub const PAGE_HEADER_MAX: usize = 1024 * 1024;

/// Rows that one stored byte of a Parquet file may stand for: runs of equal values fold without end, and a file of
/// 4 KB must not cost an hour.
pub const ROWS_PER_BYTE_MAX: u64 = 64;

/// Rows decoded at a time, fewer where several columns are nested. Small, since delta encodings may repeat a whole page in every value.
pub const BATCH_ROWS: usize = 256;
