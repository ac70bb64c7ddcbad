//! The job file.

pub mod settings;

pub use settings::Settings;
