//! Setting up: a new job, what editors and shells know of the program, and whether everything is in place.

mod doctor;
mod init;
mod pages;

pub use doctor::Doctor;
pub use init::Init;
pub use pages::{Completions, Man, Schema};
