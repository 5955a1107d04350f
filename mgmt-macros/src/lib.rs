//! The derive macros of `mgmt`. `#[derive(Resource)]` has three passes that never mix: parse (keeps spans), check (all
//! errors at once), expand (a model that has no errors left). `Serialize` and `Deserialize` are those of serde.

/// `quote!` whose own variables can't clash with a field of the same name.
macro_rules! code {
    ($($tokens:tt)*) => { ::quote::quote_spanned!(::proc_macro2::Span::mixed_site()=> $($tokens)*) };
}

mod attribute;
mod data;
mod errors;
mod expand;
mod fragment;
mod front;
mod model;
mod parse;
mod reexport;
mod words;

use proc_macro::TokenStream;

/// Makes a struct a kind of resource, with builder, handle, outputs, schema, equality and conversion to and from data.
///
/// On the struct, `#[resource(…)]` with:
/// - `kind = "…"`: the name of the kind. Required.
/// - `unwatched`: nothing but the engine can change its resources.
/// - `quiet`: its resources log nothing.
/// - `ticks`: the events of its watch are ticks, and to apply one changes nothing but what the resource remembers.
///   Ticks that cause no change elsewhere do not keep a run from converging.
/// - `inline`: its code never blocks, so the engine's loop polls it (default: threads that may block do);
///   `inline = watch`: this holds for its `watch` alone.
/// - `provided = Client` or `provided = (Client, Cache)`: the values that it needs from the program
///   (`Engine::builder().provide(…)`, `cx.provided::<Client>()`).
///
/// On a field, `#[resource(…)]` with:
/// - `name`: the name of the resource. Exactly one field, a `String`.
/// - `default` or `default = value`: the field need not be set.
/// - `send`: an output.
///
/// A field of type `Option<T>` or with a default has a setter on the builder; any other field is an argument of `new`,
/// in the order of the fields.
#[proc_macro_derive(Resource, attributes(resource))]
pub fn derive_resource(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    let mut errors = errors::Errors::default();
    let model = parse::resource(&input, &mut errors);
    // Code is made even after an error: without it, one mistake would cause dozens of messages about missing names.
    let made = match &model {
        Some(model) => expand::resource(model),
        None => expand::generic(&input),
    };
    let errors = errors.into_tokens();
    quote::quote!(#errors #made).into()
}

/// serde's `Serialize`, for programs that depend on `mgmt` alone: all its attributes (`#[serde(…)]`) work.
#[proc_macro_derive(Serialize, attributes(serde))]
pub fn derive_serialize(input: TokenStream) -> TokenStream {
    reexport::derive(syn::parse_macro_input!(input as syn::DeriveInput), "Serialize").into()
}

/// serde's `Deserialize`, for programs that depend on `mgmt` alone: all its attributes (`#[serde(…)]`) work.
#[proc_macro_derive(Deserialize, attributes(serde))]
pub fn derive_deserialize(input: TokenStream) -> TokenStream {
    reexport::derive(syn::parse_macro_input!(input as syn::DeriveInput), "Deserialize").into()
}

/// Removes the item, which was there only for the derives above it.
#[doc(hidden)]
#[proc_macro_attribute]
pub fn vanish(_: TokenStream, _: TokenStream) -> TokenStream {
    TokenStream::new()
}
