//! Writes what a model says. Everything is fully qualified; what can be shared lives in the library and is called.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::DeriveInput;
use syn::spanned::Spanned;

use crate::model::{Field, Model, Need, Output};

/// Enough that `impl Converge` for a struct whose derive failed adds no message of its own.
pub(crate) fn stub(input: &DeriveInput) -> TokenStream {
    let ident = &input.ident;
    if !input.generics.params.is_empty() {
        return TokenStream::new();
    }
    quote! {
        impl ::mgmt::resource::Resource for #ident {
            fn spec() -> &'static ::mgmt::resource::KindSpec { ::core::unreachable!() }
            fn name(&self) -> &str { ::core::unreachable!() }
            fn same(&self, _: &Self) -> bool { ::core::unreachable!() }
            fn receive(&mut self, _: u8, _: ::mgmt::resource::FieldValue) -> bool { ::core::unreachable!() }
            fn to_data(&self, _: &[u8]) -> ::core::result::Result<::mgmt::__private::Map, ::std::string::String> { ::core::unreachable!() }
            fn from_data(_: &str, _: ::mgmt::resource::FieldReader<'_>) -> ::core::option::Option<Self> { ::core::unreachable!() }
        }
    }
}

pub(crate) fn resource(model: &Model) -> TokenStream {
    let parts = [resource_impl(model), constructor(model), builder(model), handle(model)];
    quote!(#(#parts)*)
}

fn resource_impl(model: &Model) -> TokenStream {
    let (ident, kind, doc, name, watched) = (&model.ident, &model.kind, &model.doc, &model.name, model.watched);
    let name_text = name.to_string();
    let specs = model.fields.iter().map(field_spec);
    let outputs = model.outputs.iter().map(output_spec);
    let same = model.fields.iter().map(|Field { ident, ty, need, .. }| {
        let ty = if matches!(need, Need::Option) { quote!(::core::option::Option<#ty>) } else { ty.to_token_stream() };
        quote_spanned!(ty.span()=> <#ty as ::mgmt::resource::FieldType>::equal(&self.#ident, &other.#ident))
    });
    let receive = model.fields.iter().enumerate().map(|(n, Field { ident, ty, need, .. })| {
        let n = u8::try_from(n).unwrap_or(u8::MAX);
        let set =
            if matches!(need, Need::Option) { quote!(::core::option::Option::Some(*value)) } else { quote!(*value) };
        quote!(#n => match value.downcast::<#ty>() {
            ::core::result::Result::Ok(value) => { self.#ident = #set; true }
            ::core::result::Result::Err(_) => false,
        })
    });
    let to_data = to_data(model);
    let from_data = from_data(model);
    quote! {
        #[automatically_derived]
        impl ::mgmt::resource::Resource for #ident {
            fn spec() -> &'static ::mgmt::resource::KindSpec {
                static SPEC: ::mgmt::resource::KindSpec = ::mgmt::resource::KindSpec {
                    kind: #kind,
                    doc: #doc,
                    watched: #watched,
                    name_field: #name_text,
                    fields: &[#(#specs),*],
                    outputs: &[#(#outputs),*],
                };
                &SPEC
            }
            fn name(&self) -> &str { &self.#name }
            fn same(&self, other: &Self) -> bool { self.#name == other.#name #(&& #same)* }
            fn receive(&mut self, field: u8, value: ::mgmt::resource::FieldValue) -> bool {
                match field { #(#receive,)* _ => { ::core::mem::drop(value); false } }
            }
            #to_data
            #from_data
        }
    }
}

fn field_spec(field: &Field) -> TokenStream {
    let (name, doc, ty, required) = (field.ident.to_string(), &field.doc, &field.ty, field.is_required());
    let name = name.trim_start_matches("r#");
    let type_name = text_of(ty);
    let schema = quote_spanned!(ty.span()=> <#ty as ::mgmt::resource::FieldType>::schema);
    quote! {
        ::mgmt::resource::FieldSpec {
            name: #name,
            doc: #doc,
            required: #required,
            type_name: #type_name,
            schema: #schema,
            takes: |id| ::mgmt::__takes!(takes, #ty, id, ::mgmt::resource::private::Not(false), or_else).0,
            convert: |value| ::mgmt::__takes!(take, #ty, value, ::core::option::Option::None, or_else),
            recall: |digest| ::mgmt::__takes!(recall, #ty, digest, ::core::option::Option::None, or_else),
        }
    }
}

fn output_spec(output: &Output) -> TokenStream {
    let (name, doc, ty) = (output.ident.to_string(), &output.doc, &output.ty);
    let type_name = text_of(ty);
    quote! {
        ::mgmt::resource::OutputSpec { name: #name, doc: #doc, type_name: #type_name, type_id: ::core::any::TypeId::of::<#ty> }
    }
}

/// A type as people write it.
fn text_of(ty: &syn::Type) -> String {
    ty.to_token_stream().to_string().replace(" < ", "<").replace(" >", ">").replace(" , ", ", ").replace(" :: ", "::")
}

fn to_data(model: &Model) -> TokenStream {
    let puts = model.fields.iter().enumerate().map(|(n, Field { ident, ty, need, .. })| {
        let n = u8::try_from(n).unwrap_or(u8::MAX);
        let name = ident.to_string();
        let name = name.trim_start_matches("r#");
        let json = quote_spanned!(ty.span()=> <#ty as ::mgmt::resource::FieldType>::to_json);
        let put = quote! {
            data.insert(#name.to_owned(), #json(value).map_err(|error| ::std::format!("`{}`: {error}", #name))?);
        };
        let equal = quote_spanned!(ty.span()=> <#ty as ::mgmt::resource::FieldType>::equal);
        match need {
            Need::Required => quote!(if !wired.contains(&#n) { let value = &self.#ident; #put }),
            Need::Option => quote!(if let (::core::option::Option::Some(value), false) = (&self.#ident, wired.contains(&#n)) { #put }),
            Need::Default(default) => {
                let default = default_value(ty, default.as_ref());
                quote!({ let value = &self.#ident; if !wired.contains(&#n) && !#equal(value, &#default) { #put } })
            }
        }
    });
    quote! {
        fn to_data(&self, wired: &[u8]) -> ::core::result::Result<::mgmt::__private::Map, ::std::string::String> {
            let mut data = ::mgmt::__private::Map::new();
            let _ = wired;
            #(#puts)*
            ::core::result::Result::Ok(data)
        }
    }
}

fn default_value(ty: &syn::Type, default: Option<&syn::Expr>) -> TokenStream {
    match default {
        Some(value) => quote_spanned!(value.span()=> <#ty as ::mgmt::resource::Accepts<_>>::accept(#value)),
        None => quote_spanned!(ty.span()=> <#ty as ::core::default::Default>::default()),
    }
}

fn from_data(model: &Model) -> TokenStream {
    let name = &model.name;
    let reads = model.fields.iter().enumerate().map(|(n, Field { ident, ty, need, .. })| {
        let n = u8::try_from(n).unwrap_or(u8::MAX);
        let ft = quote_spanned!(ty.span()=> #ty);
        match need {
            Need::Required => quote! {
                let #ident = {
                    #[expect(unused_imports, reason = "which of the two is used depends on the type")]
                    use ::mgmt::resource::private::{Probe, WithDefault as _, WithoutDefault as _};
                    reader.required::<#ft>(#n, (&Probe::<#ty>::NEW).placeholder())
                };
            },
            Need::Option => quote!(let #ident = reader.optional::<#ft>(#n);),
            Need::Default(default) => {
                let default = default_value(ty, default.as_ref());
                quote!(let #ident = reader.optional::<#ft>(#n).map(|given| given.unwrap_or_else(|| #default));)
            }
        }
    });
    let fields = model.fields.iter().map(|Field { ident, .. }| quote!(#ident: #ident?));
    let outputs = model.outputs.iter().map(|Output { ident, .. }| quote!(#ident: ::core::default::Default::default()));
    quote! {
        fn from_data(name: &str, mut reader: ::mgmt::resource::FieldReader<'_>) -> ::core::option::Option<Self> {
            #(#reads)*
            reader.finish();
            ::core::option::Option::Some(Self { #name: name.to_owned(), #(#fields,)* #(#outputs,)* })
        }
    }
}

fn constructor(model: &Model) -> TokenStream {
    let (ident, vis, name) = (&model.ident, &model.vis, &model.name);
    let builder = format_ident!("{ident}Builder");
    let required: Vec<_> = model.fields.iter().enumerate().filter(|(_, field)| field.is_required()).collect();
    let markers: Vec<Ident> = required.iter().map(|(n, _)| format_ident!("M{n}")).collect();
    let arguments = required
        .iter()
        .zip(&markers)
        .map(|((_, Field { ident, ty, .. }), marker)| quote!(#ident: impl ::mgmt::resource::IntoInput<#ty, #marker>));
    let splits = required.iter().map(|(n, Field { ident, ty, .. })| {
        let n = u8::try_from(*n).unwrap_or(u8::MAX);
        quote! {
            let #ident: #ty = match ::mgmt::resource::IntoInput::into_input(#ident) {
                ::mgmt::resource::Input::Value(value) => value,
                ::mgmt::resource::Input::Wire(wire, placeholder) => {
                    draft.wire(#n, ::core::option::Option::Some(wire));
                    placeholder
                }
            };
        }
    });
    let inits = model.fields.iter().map(|Field { ident, ty, need, .. }| match need {
        Need::Required => quote!(#ident),
        Need::Option => quote!(#ident: ::core::option::Option::None),
        Need::Default(default) => {
            let default = default_value(ty, default.as_ref());
            quote!(#ident: #default)
        }
    });
    let outputs = model.outputs.iter().map(|Output { ident, .. }| quote!(#ident: ::core::default::Default::default()));
    let ports = model.outputs.iter().enumerate().map(|(n, Output { ident, ty, doc })| {
        let (n, text, upper) = (
            u8::try_from(n).unwrap_or(u8::MAX),
            ident.to_string(),
            format_ident!("{}", ident.to_string().to_uppercase()),
        );
        let doc = format!("The output `{ident}`, for `cx.send`. {doc}");
        quote!(#[doc = #doc] #vis const #upper: ::mgmt::resource::Port<#ty> = ::mgmt::resource::Port::new(#n, #text);)
    });
    let doc = format!("A builder of a `{}`. {}", model.kind, model.name_doc);
    quote! {
        #[automatically_derived]
        impl #ident {
            #[doc = #doc]
            #[track_caller]
            #[allow(clippy::new_ret_no_self, clippy::too_many_arguments)]
            #vis fn new<#(#markers),*>(#name: impl ::core::convert::Into<::std::string::String>, #(#arguments),*) -> #builder {
                #[allow(unused_mut)]
                let mut draft = ::mgmt::resource::Draft::here();
                #(#splits)*
                #builder { resource: #ident { #name: #name.into(), #(#inits,)* #(#outputs,)* }, draft }
            }
            #(#ports)*
        }
    }
}

fn builder(model: &Model) -> TokenStream {
    let (ident, vis) = (&model.ident, &model.vis);
    let (builder, handle) = (format_ident!("{ident}Builder"), format_ident!("{ident}Handle"));
    let setters = model.fields.iter().enumerate().filter(|(_, field)| !field.is_required()).map(
        |(n, Field { ident, ty, need, doc, .. })| {
            let n = u8::try_from(n).unwrap_or(u8::MAX);
            let (set, wired) = if matches!(need, Need::Option) {
                (quote!(::core::option::Option::Some(value)), quote!(::core::option::Option::None))
            } else {
                (quote!(value), quote!(placeholder))
            };
            let placeholder = if matches!(need, Need::Option) { quote!(_) } else { quote!(placeholder) };
            quote! {
                #[doc = #doc]
                #[must_use]
                #[track_caller]
                #vis fn #ident<M>(mut self, #ident: impl ::mgmt::resource::IntoInput<#ty, M>) -> Self {
                    match ::mgmt::resource::IntoInput::into_input(#ident) {
                        ::mgmt::resource::Input::Value(value) => {
                            self.resource.#ident = #set;
                            self.draft.wire(#n, ::core::option::Option::None);
                        }
                        ::mgmt::resource::Input::Wire(wire, #placeholder) => {
                            self.resource.#ident = #wired;
                            self.draft.wire(#n, ::core::option::Option::Some(wire));
                        }
                    }
                    self
                }
            }
        },
    );
    let doc = format!("A `{}` in the making; `Graph::add` takes it.", model.kind);
    quote! {
        #[doc = #doc]
        #[derive(Clone, Debug)]
        #[must_use = "it is not in the graph until `graph.add` has taken it"]
        #vis struct #builder { resource: #ident, draft: ::mgmt::resource::Draft }

        #[automatically_derived]
        impl #builder { #(#setters)* }

        #[automatically_derived]
        impl ::mgmt::resource::Declare for #builder {
            type Resource = #ident;
            type Handle = #handle;
            fn draft(&mut self) -> &mut ::mgmt::resource::Draft { &mut self.draft }
            fn finish(self) -> (#ident, ::mgmt::resource::Draft) { (self.resource, self.draft) }
            fn handle(node: ::mgmt::resource::NodeRef) -> #handle { #handle(node) }
        }
    }
}

fn handle(model: &Model) -> TokenStream {
    let (ident, vis) = (&model.ident, &model.vis);
    let handle = format_ident!("{ident}Handle");
    let outputs = model.outputs.iter().map(|Output { ident: output, ty, doc }| {
        let upper = format_ident!("{}", output.to_string().to_uppercase());
        quote! {
            #[doc = #doc]
            #vis fn #output(&self) -> ::mgmt::resource::Output<#ty> { ::mgmt::resource::Output::of(self.0, #ident::#upper) }
        }
    });
    let doc = format!("A `{}` in a graph.", model.kind);
    quote! {
        #[doc = #doc]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #vis struct #handle(::mgmt::resource::NodeRef);

        #[automatically_derived]
        impl #handle { #(#outputs)* }

        #[automatically_derived]
        impl ::mgmt::resource::Handle for #handle {
            fn node(&self) -> ::mgmt::resource::NodeRef { self.0 }
        }
    }
}
