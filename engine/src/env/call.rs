//! The calls of a file system by name: what a log of them lists and what a fault is aimed at.

use std::fmt;

/// A method of [`Fs`](super::Fs) or [`File`](super::File).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// [`Fs::create`](super::Fs::create)
    Create,
    /// [`Fs::open`](super::Fs::open)
    Open,
    /// [`Fs::exists`](super::Fs::exists)
    Exists,
    /// [`Fs::remove`](super::Fs::remove)
    Remove,
    /// [`Fs::list`](super::Fs::list)
    List,
    /// [`Fs::link`](super::Fs::link)
    Link,
    /// [`Fs::sync_dir`](super::Fs::sync_dir)
    SyncDir,
    /// [`File::append`](super::File::append)
    Append,
    /// [`File::read_at`](super::File::read_at)
    Read,
    /// [`File::len`](super::File::len)
    Len,
    /// [`File::sync`](super::File::sync)
    Sync,
}

impl Call {
    /// Whether the call changes what a crash would leave behind.
    pub fn is_change(self) -> bool {
        match self {
            Self::Create | Self::Remove | Self::Link | Self::SyncDir | Self::Append | Self::Sync => true,
            Self::Open | Self::Exists | Self::List | Self::Read | Self::Len => false,
        }
    }

    /// Whether a full disk may refuse the call.
    pub fn needs_space(self) -> bool {
        self.is_change() && self != Self::Remove
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Open => "open",
            Self::Exists => "look for",
            Self::Remove => "remove",
            Self::List => "list",
            Self::Link => "link",
            Self::SyncDir => "sync",
            Self::Append => "append to",
            Self::Read => "read",
            Self::Len => "get the length of",
            Self::Sync => "sync",
        })
    }
}
