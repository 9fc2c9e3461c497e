//! The Esker host.
