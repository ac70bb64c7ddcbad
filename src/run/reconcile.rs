//! Proves a run afterwards.
