//! The mistakes found in a struct: each becomes a message on its own token.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::Attribute;
use syn::meta::ParseNestedMeta;

/// The mistakes found so far.
#[derive(Default)]
pub(crate) struct Errors(Vec<syn::Error>);

impl Errors {
    pub(crate) fn say(&mut self, at: impl ToTokens, message: impl std::fmt::Display) {
        self.0.push(syn::Error::new_spanned(at, message));
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Reads the items of an attribute, and adds the error if they can't be parsed.
    pub(crate) fn collect(
        &mut self,
        attr: &Attribute,
        mut read: impl FnMut(&ParseNestedMeta<'_>, &mut Errors) -> syn::Result<()>,
    ) {
        if let Err(error) = attr.parse_nested_meta(|meta| read(&meta, self)) {
            self.0.push(error);
        }
    }

    pub(crate) fn into_tokens(self) -> TokenStream {
        self.0.iter().map(syn::Error::to_compile_error).collect()
    }
}
