//! Writes the functions that a program calls: `new`, the builder's setters, the handle's outputs.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote_spanned};
use syn::spanned::Spanned;

use crate::data::default_value;
use crate::model::{Field, Model, Need, Output, number};
use crate::parse::inside_option;

/// The body of a function, or a placeholder that uses the arguments so that rustc does not warn about them.
fn body(model: &Model, arguments: &[&Ident], body: TokenStream) -> TokenStream {
    if model.mute { code!(let _ = (#(#arguments),*); ::core::unreachable!()) } else { body }
}

/// The type of an argument of `new`. It has the span of the field, so that a message points there.
fn input(ty: &syn::Type, marker: &Ident) -> TokenStream {
    quote_spanned!(ty.span()=> impl ::mgmt::resource::IntoInput<#ty, #marker>)
}

/// The type of a setter's argument. If the field's own type is an `Option`, `None` is a value of it, and does not mean
/// "not given".
fn setting(field: &Field, marker: &Ident) -> TokenStream {
    let ty = &field.ty;
    match is_option(field) {
        true => input(ty, marker),
        false => quote_spanned!(ty.span()=> impl ::mgmt::resource::IntoSetting<#ty, #marker>),
    }
}

fn is_option(field: &Field) -> bool {
    inside_option(&field.ty).is_some()
}

pub(crate) fn constructor(model: &Model) -> TokenStream {
    let (ident, vis, name) = (&model.ident, &model.vis, &model.name);
    let builder = format_ident!("{ident}Builder");
    let required: Vec<_> = model.fields.iter().enumerate().filter(|(_, field)| field.is_required()).collect();
    let markers: Vec<Ident> = required.iter().map(|(n, _)| format_ident!("__M{n}")).collect();
    let arguments = required.iter().zip(&markers).map(|((_, Field { ident, ty, .. }), marker)| {
        let input = input(ty, marker);
        code!(#ident: #input)
    });
    let splits = required.iter().map(|(n, Field { ident, ty, .. })| {
        let n = number(*n);
        code! {
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
        Need::Required => code!(#ident),
        Need::Option => code!(#ident: ::core::option::Option::None),
        Need::Default(default) => {
            let default = default_value(ty, default.as_ref());
            code!(#ident: #default)
        }
    });
    let outputs = model.outputs.iter().map(|Output { ident, .. }| code!(#ident: ::core::default::Default::default()));
    let idents: Vec<_> = std::iter::once(name).chain(required.iter().map(|(_, field)| &field.ident)).collect();
    let made = body(
        model,
        &idents,
        code! {
            let mut draft = ::mgmt::resource::Draft::here();
            #(#splits)*
            #builder { resource: #ident { #name: #name.into(), #(#inits,)* #(#outputs,)* }, draft }
        },
    );
    let ports = model.outputs.iter().enumerate().map(|(n, output)| {
        let (n, text, port, ty) = (number(n), output.text(), output.port(), &output.ty);
        let doc = format!("The output `{text}`, for `cx.send`. {}", output.doc);
        code!(#[doc = #doc] #vis const #port: ::mgmt::resource::Port<#ty> = ::mgmt::resource::Port::new(#n, #text);)
    });
    let doc = format!("A builder of a `{}`. {}", model.kind, model.name_doc);
    code! {
        #[automatically_derived]
        impl #ident {
            #[doc = #doc]
            #[track_caller]
            #[allow(clippy::new_ret_no_self, clippy::too_many_arguments)]
            #vis fn new<#(#markers),*>(
                #name: impl ::core::convert::Into<::std::string::String>,
                #(#arguments),*
            ) -> #builder {
                #made
            }
            #(#ports)*
        }
    }
}

pub(crate) fn builder(model: &Model) -> TokenStream {
    let (ident, vis, name) = (&model.ident, &model.vis, &model.name);
    let (builder, handle) = (format_ident!("{ident}Builder"), format_ident!("{ident}Handle"));
    let setters = model.fields.iter().enumerate().filter(|(_, field)| !field.is_required());
    let setters = setters.map(|(n, field)| setter(model, number(n), field));
    let doc = format!("A `{}` in the making; `Graph::add` takes it.", model.kind);
    let text = builder.to_string();
    let debug = body(
        model,
        &[],
        code!(f.debug_struct(#text).field("name", &self.resource.#name).field("draft", &self.draft).finish_non_exhaustive()),
    );
    code! {
        #[doc = #doc]
        #[must_use = "it is not in the graph until `graph.add` has taken it"]
        #vis struct #builder { resource: #ident, draft: ::mgmt::resource::Draft }

        #[automatically_derived]
        impl #builder { #(#setters)* }

        #[automatically_derived]
        impl ::core::clone::Clone for #builder {
            fn clone(&self) -> Self {
                Self { resource: ::mgmt::resource::Resource::copy(&self.resource), draft: ::core::clone::Clone::clone(&self.draft) }
            }
        }

        #[automatically_derived]
        impl ::core::fmt::Debug for #builder {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result { #debug }
        }

        #[automatically_derived]
        #[diagnostic::do_not_recommend]
        impl ::mgmt::resource::Declare for #builder {
            type Resource = #ident;
            type Handle = #handle;
            fn draft(&mut self) -> &mut ::mgmt::resource::Draft { &mut self.draft }
            fn finish(self) -> (#ident, ::mgmt::resource::Draft) { (self.resource, self.draft) }
            fn handle(node: ::mgmt::resource::NodeRef) -> #handle { #handle(node) }
        }

        #[automatically_derived]
        #[diagnostic::do_not_recommend]
        impl ::mgmt::resource::Rebuild for #ident {
            type Builder = #builder;
            fn rebuild(self) -> #builder { #builder { resource: self, draft: ::mgmt::resource::Draft::here() } }
        }
    }
}

fn setter(model: &Model, n: u8, field: &Field) -> TokenStream {
    let (vis, Field { ident, ty, need, doc }) = (&model.vis, field);
    let some = |value: TokenStream| match need {
        Need::Option => code!(::core::option::Option::Some(#value)),
        _ => value,
    };
    let (set, none) = (some(code!(value)), code!(::core::option::Option::None));
    let (wired, unset) = match need {
        Need::Default(default) => (code!(placeholder), default_value(ty, default.as_ref())),
        _ => (none.clone(), none),
    };
    let given = match is_option(field) {
        true => code!(::core::option::Option::Some(::mgmt::resource::IntoInput::into_input(#ident))),
        false => code!(::mgmt::resource::IntoSetting::into_setting(#ident)),
    };
    let made = body(
        model,
        &[ident],
        code! {
            let mut this = self;
            let wire = match #given {
                ::core::option::Option::Some(::mgmt::resource::Input::Value(value)) => {
                    this.resource.#ident = #set;
                    ::core::option::Option::None
                }
                ::core::option::Option::Some(::mgmt::resource::Input::Wire(wire, placeholder)) => {
                    let _ = &placeholder;
                    this.resource.#ident = #wired;
                    ::core::option::Option::Some(wire)
                }
                ::core::option::Option::None => {
                    this.resource.#ident = #unset;
                    ::core::option::Option::None
                }
            };
            this.draft.wire(#n, wire);
            this
        },
    );
    let marker = format_ident!("__M");
    let input = setting(field, &marker);
    code! {
        #[doc = #doc]
        #[must_use]
        #[track_caller]
        #vis fn #ident<#marker>(self, #ident: #input) -> Self { #made }
    }
}

pub(crate) fn handle(model: &Model) -> TokenStream {
    let (ident, vis) = (&model.ident, &model.vis);
    let handle = format_ident!("{ident}Handle");
    let outputs = model.outputs.iter().map(|output| {
        let (name, ty, doc, port) = (&output.ident, &output.ty, &output.doc, output.port());
        let of = quote_spanned!(ty.span()=> ::mgmt::resource::private::output::<#ty>);
        let made = body(model, &[], code!(#of(self.0, #ident::#port)));
        code! {
            #[doc = #doc]
            #vis fn #name(&self) -> ::mgmt::resource::Output<#ty> { #made }
        }
    });
    let doc = format!("A `{}` in a graph.", model.kind);
    code! {
        #[doc = #doc]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #vis struct #handle(::mgmt::resource::NodeRef);

        #[automatically_derived]
        impl #handle { #(#outputs)* }

        #[automatically_derived]
        #[diagnostic::do_not_recommend]
        impl ::mgmt::resource::Handle for #handle {
            fn node(&self) -> ::mgmt::resource::NodeRef { self.0 }
        }
    }
}
