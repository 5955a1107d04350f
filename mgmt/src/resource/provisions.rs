//! The values that the program that embeds an engine provides to its kinds, such as a client or a cache.

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::resource::error::{Error, Result};
use crate::resource::spec::{KindSpec, ProvidedSpec};

/// Values by type, at most one of each type. Clones share the values.
#[derive(Clone, Default)]
pub struct Provisions {
    values: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
    /// The names of the types, for messages.
    names: Vec<&'static str>,
}

impl Provisions {
    /// Adds a value; it replaces one of the same type.
    pub(crate) fn insert<T: Send + Sync + 'static>(&mut self, value: T) {
        if self.values.insert(TypeId::of::<T>(), Arc::new(value)).is_none() {
            self.names.push(type_name::<T>());
        }
    }

    /// Like [`insert`](Provisions::insert), for a value of the engine itself, which messages do not list.
    pub(crate) fn insert_own<T: Send + Sync + 'static>(&mut self, value: T) {
        self.values.insert(TypeId::of::<T>(), Arc::new(value));
    }

    /// Removes a value.
    pub(crate) fn remove<T: Send + Sync + 'static>(&mut self) {
        self.values.remove(&TypeId::of::<T>());
    }

    /// The value of type `T`, for a kind.
    ///
    /// # Errors
    /// The program has provided no value of this type.
    pub(crate) fn get<T: Send + Sync + 'static>(&self, kind: &KindSpec) -> Result<Arc<T>> {
        let value = self.values.get(&TypeId::of::<T>()).cloned().and_then(|value| value.downcast().ok());
        value.ok_or_else(|| Error::new(self.lack(kind.kind, type_name::<T>())))
    }

    /// Whether a value of type `T` was provided.
    pub(crate) fn has<T: Send + Sync + 'static>(&self) -> bool {
        self.values.contains_key(&TypeId::of::<T>())
    }

    /// A message for each value that the kind declares and that is missing.
    pub(crate) fn lacking(&self, kind: &KindSpec) -> impl Iterator<Item = String> {
        let lacking = kind.provided.iter().filter(|wanted| !self.values.contains_key(&(wanted.type_id)()));
        lacking.map(|ProvidedSpec { type_name, .. }| self.lack(kind.kind, type_name))
    }

    fn lack(&self, kind: &str, type_name: &str) -> String {
        let given = match &self.names[..] {
            [] => "nothing".to_owned(),
            names => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
        };
        format!(
            "the kind `{kind}` needs a `{type_name}` from the program, which has provided {given}: give it with \
             `.provide(value)`, of `Engine::builder()`, `App` or, in a test, `Fake`"
        )
    }
}

impl fmt::Debug for Provisions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Provisions").field(&self.names).finish()
    }
}
