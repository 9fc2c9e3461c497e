//! Finds the store's directory: a path relative to the first directory that the host has preopened.

use crate::bindings::wasi::filesystem::preopens::get_directories;
use crate::bindings::wasi::filesystem::types::{
    Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags,
};
use crate::wasi_fs::file_error;
use esker_engine::{Error, Result};

/// Opens the directory `path`, making the folders that are missing if `create` says so.
///
/// # Errors
///
/// `InvalidArgument` for an absolute path or one with `..`; `CannotOpen` when nothing is preopened or the folder
/// is missing; `Io`.
pub fn open(path: &str, create: bool) -> Result<Descriptor> {
    let folders = folders(path)?;
    let mut directory = preopened()?;
    for folder in folders {
        directory = descend(&directory, folder, create)?;
    }
    Ok(directory)
}

/// The folders that `path` goes through; `""` and `"."` go through none.
fn folders(path: &str) -> Result<Vec<&str>> {
    let refused =
        |why: &str| Err(Error::invalid(format!("path {path:?} {why}; give a relative path, or \".\"")));
    if path.starts_with('/') {
        return refused("is absolute");
    }
    let folders: Vec<&str> = path.split('/').filter(|folder| !matches!(*folder, "" | ".")).collect();
    if folders.contains(&"..") {
        return refused("leads out of the directory");
    }
    Ok(folders)
}

fn preopened() -> Result<Descriptor> {
    match get_directories().into_iter().next() {
        Some((directory, _)) => Ok(directory),
        None => {
            Err(Error::cannot_open("the host has preopened no directory: it must give the component one"))
        }
    }
}

fn descend(parent: &Descriptor, folder: &str, create: bool) -> Result<Descriptor> {
    match open_folder(parent, folder) {
        Err(ErrorCode::NoEntry) if create => make_folder(parent, folder),
        Err(ErrorCode::NoEntry) => Err(Error::cannot_open(format!("there is no directory {folder}"))),
        Err(code) => Err(file_error("open directory", folder, code)),
        Ok(directory) => Ok(directory),
    }
}

fn make_folder(parent: &Descriptor, folder: &str) -> Result<Descriptor> {
    let failed = |code| file_error("create directory", folder, code);
    parent.create_directory_at(folder).map_err(failed)?;
    // Without this, a power cut could take the new folder away and the acknowledged writes in it. Where the host
    // syncs no directories, the store's own probe says so in its stats.
    let _ = parent.sync();
    open_folder(parent, folder).map_err(failed)
}

fn open_folder(parent: &Descriptor, folder: &str) -> core::result::Result<Descriptor, ErrorCode> {
    parent.open_at(
        PathFlags::empty(),
        folder,
        OpenFlags::DIRECTORY,
        DescriptorFlags::READ | DescriptorFlags::MUTATE_DIRECTORY,
    )
}
