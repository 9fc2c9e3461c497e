//! What every other module shares: keys, batches, byte coding, checksums, file names, errors and options.

pub mod error;
pub mod file_name;
