//! A kind as the derive has read it.

use proc_macro2::Ident;
use quote::format_ident;
use syn::{Expr, Type, Visibility};

/// One kind.
pub(crate) struct Model {
    pub(crate) ident: Ident,
    pub(crate) vis: Visibility,
    pub(crate) kind: String,
    pub(crate) doc: String,
    pub(crate) watched: bool,
    pub(crate) quiet: bool,
    pub(crate) ticks: bool,
    /// The name of a variant of `Inline`.
    pub(crate) inline: &'static str,
    /// The types that the kind needs from the program.
    pub(crate) provided: Vec<Type>,
    pub(crate) name: Ident,
    pub(crate) name_doc: String,
    /// Required and optional fields, in order: a field's index is its number.
    pub(crate) fields: Vec<Field>,
    pub(crate) outputs: Vec<Output>,
    /// The kind has a mistake, which was reported. It gets all its methods, with placeholder bodies, so that code that
    /// uses them compiles.
    pub(crate) mute: bool,
}

/// A field of the desired state.
pub(crate) struct Field {
    pub(crate) ident: Ident,
    pub(crate) doc: String,
    /// For an `Option<T>`, `T`.
    pub(crate) ty: Type,
    pub(crate) need: Need,
}

/// Whether a value must be given for a field.
pub(crate) enum Need {
    Required,
    /// `Option<T>`: `None` unless given.
    Option,
    /// The value of this expression, or the default of the field's type.
    Default(Option<Expr>),
}

/// An output of the kind.
pub(crate) struct Output {
    pub(crate) ident: Ident,
    pub(crate) doc: String,
    pub(crate) ty: Type,
}

impl Field {
    pub(crate) fn is_required(&self) -> bool {
        matches!(self.need, Need::Required)
    }

    pub(crate) fn text(&self) -> String {
        text(&self.ident)
    }
}

impl Output {
    pub(crate) fn text(&self) -> String {
        text(&self.ident)
    }

    /// The name of the output's port.
    pub(crate) fn port(&self) -> Ident {
        format_ident!("{}", self.text().to_uppercase())
    }
}

/// A name as written in data: `r#type` is `type`.
pub(crate) fn text(ident: &Ident) -> String {
    ident.to_string().trim_start_matches("r#").to_owned()
}

/// An index as the contract's type. The parser refuses longer lists.
pub(crate) fn number(place: usize) -> u8 {
    u8::try_from(place).unwrap_or(u8::MAX)
}
