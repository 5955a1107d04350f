//! The derive macro of `mgmt`: `#[derive(Resource)]`. Three passes that never mix: parse (keeps spans), check (all errors at once), expand (a model
//! that can no longer be wrong).

mod expand;
mod model;
mod parse;

use proc_macro::TokenStream;

/// Makes a struct a kind of resource: builder, handle, outputs, schema, equality, data.
///
/// On the struct: `#[resource(kind = "…")]`. On a field: `name` (exactly one, a `String`), `default` or `default = value`, `send` (an output).
/// A field of type `Option<T>` or with a default is a setter of the builder; any other is an argument of `new`, in order.
#[proc_macro_derive(Resource, attributes(resource))]
pub fn derive_resource(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    let mut errors = parse::Errors::default();
    let model = parse::resource(&input, &mut errors);
    // What can be made is made even if something is wrong: else one mistake would be followed by dozens of messages about missing names.
    let made = match &model {
        Some(model) => expand::resource(model),
        None => expand::stub(&input),
    };
    let errors = errors.into_tokens();
    quote::quote!(#errors #made).into()
}
