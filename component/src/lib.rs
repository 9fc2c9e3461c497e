//! The Esker component.
