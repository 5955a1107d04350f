//! Writes the code that turns a kind into data and reads it from data.

use proc_macro2::TokenStream;
use quote::quote_spanned;
use syn::spanned::Spanned;

use crate::model::{Field, Model, Need, Output, number};

pub(crate) fn to_data(model: &Model) -> TokenStream {
    let puts = model.fields.iter().enumerate().map(|(n, field)| {
        let Field { ident, ty, need, .. } = field;
        let (n, name) = (number(n), field.text());
        let json = quote_spanned!(ty.span()=> <#ty as ::mgmt::resource::FieldType>::to_json);
        let put = code! {
            data.insert(#name.to_owned(), #json(value).map_err(|error| ::mgmt::resource::DataError::new(#name, error))?);
        };
        let equal = quote_spanned!(ty.span()=> <#ty as ::mgmt::resource::FieldType>::equal);
        match need {
            Need::Required => code!(if !wired.contains(&#n) { let value = &self.#ident; #put }),
            Need::Option => {
                code!(if let (::core::option::Option::Some(value), false) = (&self.#ident, wired.contains(&#n)) { #put })
            }
            Need::Default(default) => {
                let default = default_value(ty, default.as_ref());
                code!({ let value = &self.#ident; if !wired.contains(&#n) && !#equal(value, &#default) { #put } })
            }
        }
    });
    code! {
        let mut data = ::mgmt::__private::Map::new();
        #(#puts)*
        ::core::result::Result::Ok(data)
    }
}

pub(crate) fn default_value(ty: &syn::Type, default: Option<&syn::Expr>) -> TokenStream {
    match default {
        Some(value) => quote_spanned!(value.span()=> ::mgmt::resource::private::default::<#ty, _>(#value)),
        None => quote_spanned!(ty.span()=> <#ty as ::core::default::Default>::default()),
    }
}

pub(crate) fn from_data(model: &Model) -> TokenStream {
    let name = &model.name;
    let reads = model.fields.iter().enumerate().map(|(n, Field { ident, ty, need, .. })| {
        let n = number(n);
        let from_json = quote_spanned!(ty.span()=> <#ty as ::mgmt::resource::FieldType>::from_json);
        match need {
            Need::Required => code! {
                let #ident = {
                    #[expect(unused_imports, reason = "which of the two is used depends on the type")]
                    use ::mgmt::resource::private::{Probe, WithDefault as _, WithoutDefault as _};
                    reader.required(#n, (&Probe::<#ty>::NEW).placeholder(), #from_json)
                };
            },
            Need::Option => code!(let #ident = reader.optional(#n, #from_json);),
            Need::Default(default) => {
                let default = default_value(ty, default.as_ref());
                code!(let #ident = reader.defaulted(#n, #from_json).map(|given| given.unwrap_or_else(|| #default));)
            }
        }
    });
    let fields = model.fields.iter().map(|Field { ident, .. }| code!(#ident: #ident?));
    let outputs = model.outputs.iter().map(|Output { ident, .. }| code!(#ident: ::core::default::Default::default()));
    code! {
        #(#reads)*
        reader.finish();
        ::core::option::Option::Some(Self { #name: name.to_owned(), #(#fields,)* #(#outputs,)* })
    }
}
