//! Writes the code for a model. All paths are fully qualified; code that all kinds can share lives in the library and
//! is called.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote_spanned};
use syn::DeriveInput;
use syn::spanned::Spanned;

use crate::data::{self, default_value};
use crate::front;
use crate::model::{Field, Model, Need, Output, number, text};

pub(crate) fn resource(model: &Model) -> TokenStream {
    let parts = [resource_impl(model), front::constructor(model), front::builder(model), front::handle(model)];
    code!(#(#parts)*)
}

/// An impl for a generic struct, which can't be a kind: with it, `impl Converge` causes no error message of its own.
pub(crate) fn generic(input: &DeriveInput) -> TokenStream {
    let ident = &input.ident;
    let (generics, arguments, bounds) = input.generics.split_for_impl();
    let bounds = bounds.map(|bounds| bounds.predicates.to_token_stream());
    let contract = contract(&Parts::default());
    code! {
        impl #generics ::mgmt::resource::Resource for #ident #arguments
        where
            Self: ::core::marker::Send + ::core::marker::Sync + 'static,
            #bounds
        {
            #contract
        }
    }
}

/// The bodies of the contract's functions; a missing one is `unreachable!()`.
#[derive(Default)]
struct Parts {
    spec: Option<TokenStream>,
    name: Option<TokenStream>,
    same: Option<TokenStream>,
    copy: Option<TokenStream>,
    debug: Option<TokenStream>,
    receive: Option<TokenStream>,
    reset: Option<TokenStream>,
    to_data: Option<TokenStream>,
    from_data: Option<TokenStream>,
}

fn contract(parts: &Parts) -> TokenStream {
    let or_nothing = |body: &Option<TokenStream>| body.clone().unwrap_or_else(|| code!(::core::unreachable!()));
    let [spec, name, same] = [&parts.spec, &parts.name, &parts.same].map(or_nothing);
    let [copy, debug] = [&parts.copy, &parts.debug].map(or_nothing);
    let [receive, reset] = [&parts.receive, &parts.reset].map(or_nothing);
    let [to_data, from_data] = [&parts.to_data, &parts.from_data].map(or_nothing);
    code! {
        fn spec() -> &'static ::mgmt::resource::KindSpec { #spec }
        fn name(&self) -> &::core::primitive::str { #name }
        fn same(&self, other: &Self) -> ::core::primitive::bool { let _ = other; #same }
        fn copy(&self) -> Self { #copy }
        fn debug(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result { let _ = &f; #debug }
        fn receive(&mut self, field: ::core::primitive::u8, value: ::mgmt::resource::FieldValue) -> ::core::primitive::bool {
            let _ = field;
            #receive
        }
        fn reset(&mut self, field: ::core::primitive::u8) -> ::core::primitive::bool {
            let _ = field;
            #reset
        }
        fn to_data(&self, wired: &[::core::primitive::u8])
            -> ::core::result::Result<::mgmt::__private::Map, ::mgmt::resource::DataError>
        {
            let _ = wired;
            #to_data
        }
        fn from_data(name: &::core::primitive::str, reader: ::mgmt::resource::FieldReader<'_>) -> ::core::option::Option<Self> {
            let (name, mut reader) = (name, reader);
            #from_data
        }
    }
}

fn resource_impl(model: &Model) -> TokenStream {
    let ident = &model.ident;
    let parts = if model.mute { Parts::default() } else { bodies(model) };
    let contract = contract(&parts);
    code! {
        #[automatically_derived]
        #[diagnostic::do_not_recommend]
        impl ::mgmt::resource::Resource for #ident { #contract }
    }
}

fn bodies(model: &Model) -> Parts {
    let (name, at) = (&model.name, model.ident.span());
    // With these spans, the message about a missing derive points to the struct.
    let clone = quote_spanned!(at=> <Self as ::core::clone::Clone>::clone);
    let debug = quote_spanned!(at=> <Self as ::core::fmt::Debug>::fmt);
    let same = model.fields.iter().map(|Field { ident, ty, need, .. }| {
        let equal = quote_spanned!(ty.span()=> <#ty as ::mgmt::resource::FieldType>::equal);
        match need {
            Need::Option => code!(::mgmt::resource::private::equal_options(&self.#ident, &other.#ident, #equal)),
            _ => code!(#equal(&self.#ident, &other.#ident)),
        }
    });
    let receive = model.fields.iter().enumerate().map(|(n, Field { ident, ty, need, .. })| {
        let n = number(n);
        let set =
            if matches!(need, Need::Option) { code!(::core::option::Option::Some(*value)) } else { code!(*value) };
        code!(#n => match value.downcast::<#ty>() {
            ::core::result::Result::Ok(value) => { self.#ident = #set; true }
            ::core::result::Result::Err(_) => false,
        })
    });
    let reset = model.fields.iter().enumerate().filter_map(|(n, Field { ident, ty, need, .. })| {
        let n = number(n);
        match need {
            Need::Required => None,
            Need::Option => Some(code!(#n => { self.#ident = ::core::option::Option::None; true })),
            Need::Default(default) => {
                let default = default_value(ty, default.as_ref());
                Some(code!(#n => { self.#ident = #default; true }))
            }
        }
    });
    Parts {
        spec: Some(spec(model)),
        name: Some(code!(&self.#name)),
        same: Some(code!(self.#name == other.#name #(&& #same)*)),
        copy: Some(code!(#clone(self))),
        debug: Some(code!(#debug(self, f))),
        receive: Some(code!(match field { #(#receive,)* _ => { ::core::mem::drop(value); false } })),
        reset: Some(code!(match field { #(#reset,)* _ => false })),
        to_data: Some(data::to_data(model)),
        from_data: Some(data::from_data(model)),
    }
}

fn spec(model: &Model) -> TokenStream {
    let (ident, kind, doc, name) = (&model.ident, &model.kind, &model.doc, text(&model.name));
    let (watched, quiet, ticks) = (model.watched, model.quiet, model.ticks);
    let inline = format_ident!("{}", model.inline);
    let fields = model.fields.iter().map(field_spec);
    let outputs = model.outputs.iter().map(output_spec);
    let provided = model.provided.iter().map(|ty| {
        let (type_name, type_id) = (text_of(ty), quote_spanned!(ty.span()=> ::core::any::TypeId::of::<#ty>));
        code!(::mgmt::resource::ProvidedSpec { type_name: #type_name, type_id: #type_id })
    });
    code! {
        static SPEC: ::mgmt::resource::KindSpec = ::mgmt::resource::KindSpec {
            kind: #kind,
            doc: #doc,
            watched: #watched,
            quiet: #quiet,
            ticks: #ticks,
            inline: ::mgmt::resource::Inline::#inline,
            name_field: #name,
            fields: &[#(#fields),*],
            outputs: &[#(#outputs),*],
            abilities: ::mgmt::__abilities!(#ident),
            provided: &[#(#provided),*],
        };
        &SPEC
    }
}

fn field_spec(field: &Field) -> TokenStream {
    let (name, doc, ty, required) = (field.text(), &field.doc, &field.ty, field.is_required());
    let type_name = text_of(ty);
    let schema = quote_spanned!(ty.span()=> <#ty as ::mgmt::resource::FieldType>::schema);
    let parse = quote_spanned!(ty.span()=> <#ty as ::mgmt::resource::FieldType>::from_json);
    code! {
        ::mgmt::resource::FieldSpec {
            name: #name,
            doc: #doc,
            required: #required,
            type_name: #type_name,
            secret: ::mgmt::__fact!(SECRET, #ty),
            format: ::mgmt::__fact!(FORMAT, #ty),
            schema: #schema,
            takes: |id| ::mgmt::__takes!(takes, #ty, id, ::mgmt::resource::private::Not(false), or_else).0,
            convert: |value| ::mgmt::__takes!(take, #ty, value, ::core::option::Option::None, or_else),
            parse: |json| #parse(json).map(|value| ::std::boxed::Box::new(value) as ::mgmt::resource::FieldValue),
            recall: |id, digest| ::mgmt::__takes!(recall, #ty, (id, digest), ::core::option::Option::None, or_else),
        }
    }
}

fn output_spec(output: &Output) -> TokenStream {
    let (name, doc, ty) = (output.text(), &output.doc, &output.ty);
    let type_name = text_of(ty);
    code! {
        ::mgmt::resource::OutputSpec {
            name: #name,
            doc: #doc,
            type_name: #type_name,
            secret: ::mgmt::__fact!(SECRET, #ty),
            type_id: ::core::any::TypeId::of::<#ty>,
        }
    }
}

/// A type as a programmer would write it.
fn text_of(ty: &syn::Type) -> String {
    ty.to_token_stream().to_string().replace(" < ", "<").replace(" >", ">").replace(" , ", ", ").replace(" :: ", "::")
}
