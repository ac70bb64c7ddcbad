//! A fence around a decoder that may panic: 4 of 146 files of the official corpus made it do so in debug builds.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use parquet::errors::ParquetError;

thread_local! {
    static FENCED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `decode`; a panic in it is its error. The usual message of a panic is kept back on this thread meanwhile: it
/// would stand in the operator's mail beside the error that says the same.
pub(super) fn fenced<T>(decode: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |info| {
            if !FENCED.get() {
                usual(info);
            }
        }));
    });
    FENCED.set(true);
    // What `decode` borrows is dropped after an error: no one looks at a half-changed reader.
    let caught = catch_unwind(AssertUnwindSafe(decode));
    FENCED.set(false);
    match caught {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => Err(format!("the decoder gave up: {}", message(panic.as_ref()))),
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("for a reason it did not tell")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error() {
        assert_eq!(fenced(|| Ok(1)), Ok(1));
        assert!(fenced(|| -> Result<(), _> { panic!("index 7") }).unwrap_err().contains("index 7"));
        assert!(
            fenced(|| -> Result<(), _> { Err(ParquetError::EOF("short".to_owned())) }).unwrap_err().contains("short")
        );
    }
}
