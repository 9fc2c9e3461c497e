//! What every other module shares: keys, batches, byte coding, checksums, file names, errors and options.

pub mod batch;
pub mod bucket;
pub mod checksum;
pub mod coding;
pub mod error;
pub mod file_name;
pub mod json;
pub mod key;
pub mod options;
pub mod range;
