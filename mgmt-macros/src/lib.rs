//! The derive macros of `mgmt`. `#[derive(Resource)]` has three passes that never mix: parse (keeps spans), check (all
//! errors at once), expand (a model that can no longer be wrong). `Serialize` and `Deserialize` are those of serde.

/// `quote!` whose own variables can't meet a field of the same name.
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

/// Makes a struct a kind of resource: builder, handle, outputs, schema, equality, data.
///
/// On the struct: `#[resource(kind = "…")]`; `unwatched` if nothing outside can change it; `quiet` if it logs nothing;
/// `ticks` if what its watch reports are ticks, and to apply one changes nothing but what the resource remembers: a run
/// converges while it ticks, as long as nothing comes of that;
/// `inline` if its code never blocks, so that the loop of the engine polls it (else threads that may block do), or
/// `inline = watch` if that holds for its `watch` alone;
/// `provided = Client`, `provided = (Client, Cache)`: what it needs from the program (`Engine::builder().provide(…)`,
/// `cx.provided::<Client>()`). On a field: `name` (exactly one, a `String`), `default` or `default = value`, `send` (an
/// output). A field of type `Option<T>` or with a default is a setter of the builder; any other is an argument of `new`,
/// in order.
#[proc_macro_derive(Resource, attributes(resource))]
pub fn derive_resource(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    let mut errors = errors::Errors::default();
    let model = parse::resource(&input, &mut errors);
    // Something is made even if something is wrong: else one mistake would be followed by dozens of messages about missing names.
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

/// The item is gone: it was only there for the derives before.
#[doc(hidden)]
#[proc_macro_attribute]
pub fn vanish(_: TokenStream, _: TokenStream) -> TokenStream {
    TokenStream::new()
}
