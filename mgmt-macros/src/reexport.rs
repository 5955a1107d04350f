//! Derives of serde that find serde through `mgmt`, for programs that do not depend on it themselves.

use proc_macro2::{Ident, Span, TokenStream};
use syn::{Attribute, Data, DeriveInput, Fields};

/// Expands serde's derive of that name on a copy of the item, which is then removed: attributes, generics, lifetimes
/// and messages are left to serde.
pub(crate) fn derive(mut item: DeriveInput, name: &str) -> TokenStream {
    let derive = Ident::new(name, Span::mixed_site());
    // The program may name a crate itself: its choice is kept.
    let names_crate = item.attrs.iter().any(|attribute| has_key(attribute, "crate"));
    strip(&mut item);
    let place = (!names_crate).then(|| code! { #[serde(crate = "::mgmt::__private::serde")] });
    code! {
        const _: () = {
            #[derive(::mgmt::__private::serde::#derive)]
            #place
            #[::mgmt::__private::vanish]
            #item
        };
    }
}

/// Keeps only the attributes that serde reads: without its derive, any other is an error.
fn strip(item: &mut DeriveInput) {
    let strip = |attributes: &mut Vec<Attribute>| {
        attributes.retain(|attribute| ["serde", "repr"].iter().any(|name| attribute.path().is_ident(name)));
    };
    let strip_fields = |fields: &mut Fields| fields.iter_mut().for_each(|field| strip(&mut field.attrs));
    strip(&mut item.attrs);
    match &mut item.data {
        Data::Struct(data) => strip_fields(&mut data.fields),
        Data::Enum(data) => {
            for variant in &mut data.variants {
                strip(&mut variant.attrs);
                strip_fields(&mut variant.fields);
            }
        }
        Data::Union(data) => data.fields.named.iter_mut().for_each(|field| strip(&mut field.attrs)),
    }
}

/// Whether the attribute is `#[serde(…)]` with that key.
fn has_key(attribute: &Attribute, key: &str) -> bool {
    let mut found = false;
    if attribute.path().is_ident("serde") {
        // Serde reports what can't be parsed.
        let _ = attribute.parse_nested_meta(|meta| {
            found |= meta.path.is_ident(key);
            if meta.input.peek(syn::Token![=]) {
                meta.value()?.parse::<syn::Expr>()?;
            } else if meta.input.peek(syn::token::Paren) {
                let content;
                syn::parenthesized!(content in meta.input);
                content.parse::<TokenStream>()?;
            }
            Ok(())
        });
    }
    found
}
