//! What the derive knows about a kind once it has been read.

use proc_macro2::Ident;
use syn::{Expr, Type, Visibility};

/// A kind.
pub(crate) struct Model {
    pub(crate) ident: Ident,
    pub(crate) vis: Visibility,
    pub(crate) kind: String,
    pub(crate) doc: String,
    pub(crate) watched: bool,
    pub(crate) name: Ident,
    pub(crate) name_doc: String,
    /// Required and optional fields, in order: their place here is their number.
    pub(crate) fields: Vec<Field>,
    pub(crate) outputs: Vec<Output>,
}

/// A field of the desired state.
pub(crate) struct Field {
    pub(crate) ident: Ident,
    pub(crate) doc: String,
    /// For an `Option<T>`, `T`.
    pub(crate) ty: Type,
    pub(crate) need: Need,
}

/// Whether it must be given.
pub(crate) enum Need {
    Required,
    /// `Option<T>`: `None` unless given.
    Option,
    /// Its type's default, or this.
    Default(Option<Expr>),
}

/// An output.
pub(crate) struct Output {
    pub(crate) ident: Ident,
    pub(crate) doc: String,
    pub(crate) ty: Type,
}

impl Field {
    pub(crate) fn is_required(&self) -> bool {
        matches!(self.need, Need::Required)
    }
}
