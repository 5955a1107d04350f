//! The values that can be set on, or sent to, a field.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use zeroize::Zeroize;

use crate::resource::digest::{Digest, Salted};
use crate::resource::output::{Output, Sendable, Wire};
use crate::resource::secret::Secret;

/// The other types from which a field type can be made.
///
/// A kind's own field type implements this to be set from, or to receive, values of another type:
/// `impl Accepts<u16> for Port { … }`.
#[diagnostic::on_unimplemented(
    message = "a value of type `{V}` can't be set on, or sent to, a field of type `{Self}`",
    label = "this field takes `{Self}`",
    note = "an output is converted on its way by `.map(|value| …)`; a handle is no value, but its outputs are",
    note = "a field of type `Seconds` takes a `Duration`: not `.timeout(5)`, but `.timeout(Duration::from_secs(5))`",
    note = "a word is a value of its type: not `.state(\"absent\")`, but `.state(FileState::Absent)` or `.absent()`",
    note = "a secret goes only to fields that keep secrets, such as `Secret<_>`: any other may be shown in a plan or a log"
)]
pub trait Accepts<V>: Sized {
    /// The field's value from a value of the other type.
    fn accept(value: V) -> Self;

    /// A digest with which the field can be checked in a later run without the value itself. `None`: the value is
    /// always needed. Default: `None`.
    fn digest(&self) -> Option<Digest> {
        None
    }

    /// A stand-in that contains only the salted digest of a value received in an earlier run; see
    /// [`digest`](Accepts::digest). Default: `None`.
    fn from_digest(_digest: Salted) -> Option<Self> {
        None
    }
}

impl<T> Accepts<T> for T {
    fn accept(value: T) -> T {
        value
    }
}

macro_rules! accepts {
    ($($field:ty: $($from:ty),+;)+) => {$($(
        impl Accepts<$from> for $field {
            fn accept(value: $from) -> Self {
                value.into()
            }
        }
    )+)+};
}

accepts! {
    String: &str, &String, Box<str>, char;
    PathBuf: &str, String, &String, &Path, &PathBuf;
}

impl<T: Zeroize> Accepts<T> for Secret<T> {
    fn accept(value: T) -> Self {
        Secret::new(value)
    }
}

impl Accepts<&str> for Secret<String> {
    fn accept(value: &str) -> Self {
        Secret::new(value.to_owned())
    }
}

impl<T, V, const N: usize> Accepts<[V; N]> for Vec<T>
where
    T: Accepts<V>,
{
    fn accept(values: [V; N]) -> Self {
        values.into_iter().map(T::accept).collect()
    }
}

impl<T, V> Accepts<&[V]> for Vec<T>
where
    T: Accepts<V>,
    V: Clone,
{
    fn accept(values: &[V]) -> Self {
        values.iter().cloned().map(T::accept).collect()
    }
}

impl<K, T, V, const N: usize> Accepts<[(&str, V); N]> for BTreeMap<K, T>
where
    K: for<'a> Accepts<&'a str> + Ord,
    T: Accepts<V>,
{
    fn accept(values: [(&str, V); N]) -> Self {
        values.into_iter().map(|(key, value)| (K::accept(key), T::accept(value))).collect()
    }
}

/// The argument of a setter.
#[derive(Debug)]
pub enum Input<T> {
    /// A value that is known when the graph is made.
    Value(T),
    /// Another resource's output, to be received before the first check, and the placeholder until then: the type's
    /// default.
    Wire(Wire, T),
}

/// Marks a setter's argument as a value.
#[derive(Debug)]
pub enum ByValue {}
/// Marks a setter's argument as another resource's output.
#[derive(Debug)]
pub enum ByWire {}

/// Anything that a setter of a field of type `T` takes: a value, or an [`Output`]. `M` distinguishes the two and is
/// always inferred.
#[diagnostic::on_unimplemented(
    message = "a value of type `{Self}` can't be set on a field of type `{T}`",
    label = "this field takes `{T}`",
    note = "an output is converted on its way by `.map(|value| …)`; a handle is no value, but its outputs are",
    note = "a field of type `Seconds` takes a `Duration`: not `.timeout(5)`, but `.timeout(Duration::from_secs(5))`",
    note = "a word is a value of its type: not `.state(\"absent\")`, but `.state(FileState::Absent)` or `.absent()`",
    note = "a secret goes only to fields that keep secrets, such as `Secret<_>`: any other may be shown in a plan or a log"
)]
pub trait IntoInput<T, M> {
    /// The value or the wire.
    fn into_input(self) -> Input<T>;
}

#[diagnostic::do_not_recommend]
impl<T, V> IntoInput<T, ByValue> for V
where
    T: Accepts<V>,
{
    fn into_input(self) -> Input<T> {
        Input::Value(T::accept(self))
    }
}

#[diagnostic::do_not_recommend]
impl<T, V> IntoInput<T, ByWire> for Output<V>
where
    T: Accepts<V> + Default + Send + Sync + 'static,
    V: Sendable,
{
    #[track_caller]
    fn into_input(self) -> Input<T> {
        Input::Wire(Wire::new::<T, V>(self), T::default())
    }
}

/// Marks a setter's argument as one that is always there.
#[derive(Debug)]
pub struct Given<M>(PhantomData<M>);
/// Marks a setter's argument as an `Option`.
#[derive(Debug)]
pub struct ByOption<M>(PhantomData<M>);

/// Anything that a setter of an optional field, or of a field with a default, takes: a value, an [`Output`], or an
/// `Option` of either; `None` leaves the field as if the setter had not been called. `M` distinguishes the cases and is
/// always inferred.
///
/// ```
/// # use mgmt::{prelude::*, resources::FileBuilder};
/// fn page(path: &str, owner: Option<&str>) -> FileBuilder {
///     File::new(path).content("hello\n").owner(owner)
/// }
/// # drop(page("/srv/index.html", None));
/// ```
#[diagnostic::on_unimplemented(
    message = "a value of type `{Self}` can't be set on a field of type `{T}`",
    label = "this field takes `{T}`",
    note = "an output is converted on its way by `.map(|value| …)`; a handle is no value, but its outputs are",
    note = "a field of type `Seconds` takes a `Duration`: not `.timeout(5)`, but `.timeout(Duration::from_secs(5))`",
    note = "a word is a value of its type: not `.state(\"absent\")`, but `.state(FileState::Absent)` or `.absent()`",
    note = "a secret goes only to fields that keep secrets, such as `Secret<_>`: any other may be shown in a plan or a log"
)]
pub trait IntoSetting<T, M> {
    /// The value or the wire, if there is one.
    fn into_setting(self) -> Option<Input<T>>;
}

#[diagnostic::do_not_recommend]
impl<T, V, M> IntoSetting<T, Given<M>> for V
where
    V: IntoInput<T, M>,
{
    #[track_caller]
    fn into_setting(self) -> Option<Input<T>> {
        Some(self.into_input())
    }
}

#[diagnostic::do_not_recommend]
impl<T, V, M> IntoSetting<T, ByOption<M>> for Option<V>
where
    V: IntoInput<T, M>,
{
    #[track_caller]
    fn into_setting(self) -> Option<Input<T>> {
        // Not with `map`: the closure's line would be recorded as the caller.
        Some(self?.into_input())
    }
}
