//! Adds what a plugin imports to a wasmtime `Linker`: each function is written once, and either called where the
//! instance runs or, for async programs, in a thread that may block.

use super::esker_kv;
use super::keyvalue;
use super::session::Session;
use wasmtime::component::{ComponentNamedList, Lift, Linker, LinkerInstance, Lower, Resource, ResourceType};
use wasmtime_wasi::runtime::spawn_blocking;

/// Adds the functions for instances that are called by `call`: they block the thread until the store has answered.
///
/// `session` finds the instance's session in the data of its `Store`.
///
/// # Errors
///
/// Those of wasmtime, where the linker has one of the functions already.
pub fn add_to_linker_sync<T: Send + 'static>(
    linker: &mut Linker<T>,
    session: fn(&mut T) -> &Session,
) -> wasmtime::Result<()> {
    add(linker, Calling { session, place: Place::Here })
}

/// Adds the functions for instances that are called by `call_async`: the store is asked in one of tokio's threads for
/// blocking work, and the thread of the executor is free meanwhile.
///
/// `session` finds the instance's session in the data of its `Store`. A call whose future is dropped may have been made.
///
/// # Errors
///
/// Those of wasmtime, where the linker has one of the functions already.
pub fn add_to_linker_async<T: Send + 'static>(
    linker: &mut Linker<T>,
    session: fn(&mut T) -> &Session,
) -> wasmtime::Result<()> {
    add(linker, Calling { session, place: Place::BlockingThread })
}

fn add<T: Send + 'static>(linker: &mut Linker<T>, calling: Calling<T>) -> wasmtime::Result<()> {
    esker_kv::add(linker, calling)?;
    keyvalue::add(linker, calling)
}

/// How the functions of a linker find their session, and where they do their work.
pub(super) struct Calling<T: 'static> {
    session: fn(&mut T) -> &Session,
    place: Place,
}

#[derive(Clone, Copy)]
enum Place {
    Here,
    BlockingThread,
}

impl<T: 'static> Clone for Calling<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: 'static> Copy for Calling<T> {}

/// One interface of a linker.
pub(super) struct Interface<'l, T: 'static> {
    instance: LinkerInstance<'l, T>,
    calling: Calling<T>,
}

impl<'l, T: Send + 'static> Interface<'l, T> {
    pub(super) fn new(linker: &'l mut Linker<T>, name: &str, calling: Calling<T>) -> wasmtime::Result<Self> {
        Ok(Self { instance: linker.instance(name)?, calling })
    }

    /// Adds a function. It may block.
    pub(super) fn function<P, R>(
        &mut self,
        name: &str,
        function: fn(&Session, P) -> wasmtime::Result<R>,
    ) -> wasmtime::Result<()>
    where
        P: ComponentNamedList + Lift + Send + 'static,
        R: ComponentNamedList + Lower + Send + 'static,
    {
        let session = self.calling.session;
        match self.calling.place {
            Place::Here => self.instance.func_wrap(name, move |mut context, parameters| {
                function(session(context.data_mut()), parameters)
            }),
            Place::BlockingThread => self.instance.func_wrap_async(name, move |mut context, parameters| {
                let session = session(context.data_mut()).clone();
                Box::new(spawn_blocking(move || function(&session, parameters)))
            }),
        }
    }

    /// Adds a resource: `R` is what its handles stand for.
    pub(super) fn resource<R: Send + 'static>(&mut self, name: &str) -> wasmtime::Result<()> {
        let session = self.calling.session;
        let kind = ResourceType::host::<R>();
        match self.calling.place {
            Place::Here => self.instance.resource(name, kind, move |mut context, handle| {
                session(context.data_mut()).close(Resource::<R>::new_own(handle))
            }),
            Place::BlockingThread => self.instance.resource_async(name, kind, move |mut context, handle| {
                let session = session(context.data_mut()).clone();
                Box::new(spawn_blocking(move || session.close(Resource::<R>::new_own(handle))))
            }),
        }
    }
}
