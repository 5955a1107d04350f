//! What the derive knows about a kind once it has been read.

use proc_macro2::Ident;
use quote::format_ident;
use syn::{Expr, Type, Visibility};

/// A kind.
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
    /// What it needs from the program.
    pub(crate) provided: Vec<Type>,
    pub(crate) name: Ident,
    pub(crate) name_doc: String,
    /// Required and optional fields, in order: their place here is their number.
    pub(crate) fields: Vec<Field>,
    pub(crate) outputs: Vec<Output>,
    /// Something is wrong with it, and was reported: it gets all its methods, so that their users compile, but they do nothing.
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

    pub(crate) fn text(&self) -> String {
        text(&self.ident)
    }
}

impl Output {
    pub(crate) fn text(&self) -> String {
        text(&self.ident)
    }

    /// The name of its port.
    pub(crate) fn port(&self) -> Ident {
        format_ident!("{}", self.text().to_uppercase())
    }
}

/// A name as people write it in data: `r#type` is `type`.
pub(crate) fn text(ident: &Ident) -> String {
    ident.to_string().trim_start_matches("r#").to_owned()
}

/// A place in a list as the contract counts it. The parser refuses longer lists.
pub(crate) fn number(place: usize) -> u8 {
    u8::try_from(place).unwrap_or(u8::MAX)
}
