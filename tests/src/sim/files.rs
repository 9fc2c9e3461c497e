//! `wasi:filesystem` over files in memory, as the component's calls reach it.
//!
//! Every call has a number, can be the last one, can fail, and may do less than it was asked for: reads and writes are
//! short as chance has it, hard links may be missing, and the end of a file is told early or late. That is what WASI
//! allows a host.

use esker_engine::env::{File, Fs};
use esker_engine::{Error, ErrorKind};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, LinkerInstance, Resource, ResourceType, WasmList};
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, ErrorCode, OpenFlags, PathFlags,
};

use super::host::{Files, Host};

/// The most that one read gives, as in wasmtime-wasi.
const READ_BYTES_MAX: u64 = 64 << 10;

/// What a descriptor of the component stands for.
pub(super) enum Descriptor {
    /// The only directory.
    Directory,
    /// A file, and how many bytes the component has written to it.
    File(<Files as Fs>::File, u64),
}

/// The names of a directory that are still to be told.
pub(super) struct Entries(std::vec::IntoIter<String>);

type State<'a> = StoreContextMut<'a, Host>;
type Answer<T> = wasmtime::Result<(Result<T, ErrorCode>,)>;
type Handle = Resource<Descriptor>;

/// Adds the calls that the component makes.
pub(super) fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    let mut types = linker.instance("wasi:filesystem/types@0.2.12")?;
    types.resource("descriptor", ResourceType::host::<Descriptor>(), |mut state, handle| {
        drop(state.data_mut().table.delete(Resource::<Descriptor>::new_own(handle))?);
        Ok(())
    })?;
    types.resource("directory-entry-stream", ResourceType::host::<Entries>(), |mut state, handle| {
        drop(state.data_mut().table.delete(Resource::<Entries>::new_own(handle))?);
        Ok(())
    })?;
    add_contents(&mut types)?;
    add_directories(&mut types)?;
    linker.instance("wasi:filesystem/preopens@0.2.12")?.func_wrap(
        "get-directories",
        |mut state: State<'_>, (): ()| {
            let directory = state.data_mut().table.push(Descriptor::Directory)?;
            Ok((vec![(directory, ".".to_owned())],))
        },
    )
}

fn add_contents(types: &mut LinkerInstance<'_, Host>) -> wasmtime::Result<()> {
    types.func_wrap(
        "[method]descriptor.read",
        |mut state: State<'_>, (handle, length, offset): (Handle, u64, u64)| {
            call(&mut state, |host| read(host, &handle, length, offset))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.write",
        |mut state: State<'_>, (handle, bytes, offset): (Handle, WasmList<u8>, u64)| {
            let bytes = bytes.as_le_slice(&state).to_vec();
            call(&mut state, |host| write(host, &handle, &bytes, offset))
        },
    )?;
    types.func_wrap("[method]descriptor.sync-data", |mut state: State<'_>, (handle,): (Handle,)| {
        call(&mut state, |host| match host.table.get_mut(&handle)? {
            Descriptor::File(file, _) => Ok(told(file.sync())),
            Descriptor::Directory => Ok(Err(ErrorCode::IsDirectory)),
        })
    })?;
    types.func_wrap("[method]descriptor.stat", |mut state: State<'_>, (handle,): (Handle,)| {
        call(&mut state, |host| match host.table.get(&handle)? {
            Descriptor::File(file, _) => Ok(told(file.len().map(stat))),
            Descriptor::Directory => Ok(Err(ErrorCode::IsDirectory)),
        })
    })
}

fn add_directories(types: &mut LinkerInstance<'_, Host>) -> wasmtime::Result<()> {
    types.func_wrap(
        "[method]descriptor.open-at",
        |mut state: State<'_>,
         (_, _, name, how, _): (Handle, PathFlags, String, OpenFlags, DescriptorFlags)| {
            call(&mut state, |host| {
                let opened = match how.contains(OpenFlags::CREATE | OpenFlags::EXCLUSIVE) {
                    true => host.files.create(&name),
                    false => host.files.open(&name),
                };
                match told(opened) {
                    Ok(file) => Ok(Ok(host.table.push(Descriptor::File(file, 0))?)),
                    Err(code) => Ok(Err(code)),
                }
            })
        },
    )?;
    types.func_wrap(
        "[method]descriptor.stat-at",
        |mut state: State<'_>, (_, _, name): (Handle, PathFlags, String)| {
            call(&mut state, |host| {
                Ok(told(host.files.exists(&name))
                    .and_then(|found| found.then(|| stat(0)).ok_or(ErrorCode::NoEntry)))
            })
        },
    )?;
    types.func_wrap(
        "[method]descriptor.link-at",
        |mut state: State<'_>, (_, _, from, _, to): (Handle, PathFlags, String, Handle, String)| {
            call(&mut state, |host| match host.quirks.has_links {
                true => Ok(told(host.files.link(&from, &to))),
                false => Ok(Err(ErrorCode::Unsupported)),
            })
        },
    )?;
    types.func_wrap(
        "[method]descriptor.unlink-file-at",
        |mut state: State<'_>, (_, name): (Handle, String)| {
            call(&mut state, |host| Ok(told(host.files.remove(&name))))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.create-directory-at",
        |_: State<'_>, (_, _): (Handle, String)| -> Answer<()> { Ok((Err(ErrorCode::NotPermitted),)) },
    )?;
    types.func_wrap("[method]descriptor.sync", |mut state: State<'_>, (_,): (Handle,)| {
        call(&mut state, |host| Ok(told(host.files.sync_dir())))
    })?;
    types.func_wrap("[method]descriptor.read-directory", |mut state: State<'_>, (_,): (Handle,)| {
        call(&mut state, |host| match told(host.files.list()) {
            Ok(names) => Ok(Ok(host.table.push(Entries(names.into_iter()))?)),
            Err(code) => Ok(Err(code)),
        })
    })?;
    types.func_wrap(
        "[method]directory-entry-stream.read-directory-entry",
        |mut state: State<'_>, (entries,): (Resource<Entries>,)| -> Answer<Option<DirectoryEntry>> {
            let entries = state.data_mut().table.get_mut(&entries)?;
            let entry = |name| DirectoryEntry { type_: DescriptorType::RegularFile, name };
            Ok((Ok(entries.0.next().map(entry)),))
        },
    )
}

/// Makes a call, unless the instance or its machine dies of it.
fn call<T>(
    state: &mut State<'_>,
    act: impl FnOnce(&mut Host) -> wasmtime::Result<Result<T, ErrorCode>>,
) -> Answer<T> {
    let host = state.data_mut();
    host.begin_call()?;
    let answer = act(host)?;
    host.end_call()?;
    Ok((answer,))
}

/// The bytes at `offset`, as many as the host likes to give, and whether the file ends there.
fn read(
    host: &mut Host,
    handle: &Handle,
    length: u64,
    offset: u64,
) -> wasmtime::Result<Result<(Vec<u8>, bool), ErrorCode>> {
    let length = host.shortened(length.min(READ_BYTES_MAX));
    let tells_end = host.chance(50);
    let Descriptor::File(file, _) = host.table.get(handle)? else {
        return Ok(Err(ErrorCode::IsDirectory));
    };
    let mut bytes = vec![0; length as usize];
    let count = match told(file.read_at(offset, &mut bytes)) {
        Ok(count) => count,
        Err(code) => return Ok(Err(code)),
    };
    bytes.truncate(count);
    let at_end = (count as u64) < length;
    Ok(Ok((bytes, if count == 0 { length > 0 } else { at_end && tells_end })))
}

/// Writes as many of the bytes as the host likes to take.
fn write(
    host: &mut Host,
    handle: &Handle,
    bytes: &[u8],
    offset: u64,
) -> wasmtime::Result<Result<u64, ErrorCode>> {
    let taken = host.shortened(bytes.len() as u64);
    let Descriptor::File(file, written) = host.table.get_mut(handle)? else {
        return Ok(Err(ErrorCode::IsDirectory));
    };
    if offset != *written {
        wasmtime::bail!(
            "a file is written front to back, and this write goes to {offset} after {written} bytes"
        );
    }
    Ok(told(file.append(&bytes[..taken as usize])).map(|()| {
        *written += taken;
        taken
    }))
}

fn stat(size: u64) -> DescriptorStat {
    DescriptorStat {
        type_: DescriptorType::RegularFile,
        link_count: 1,
        size,
        data_access_timestamp: None,
        data_modification_timestamp: None,
        status_change_timestamp: None,
    }
}

/// An answer of the file system in WASI's words.
fn told<T>(answer: Result<T, Error>) -> Result<T, ErrorCode> {
    answer.map_err(|error| match error.kind() {
        ErrorKind::NotFound => ErrorCode::NoEntry,
        ErrorKind::AlreadyExists => ErrorCode::Exist,
        ErrorKind::NoSpace => ErrorCode::InsufficientSpace,
        _ => ErrorCode::Io,
    })
}
