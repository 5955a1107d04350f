//! Reads a struct and its attributes; keeps going after an error, so that all are reported at once, each on its own token.

use proc_macro2::{Ident, Span, TokenStream};
use quote::ToTokens;
use syn::meta::ParseNestedMeta;
use syn::{Attribute, Data, DeriveInput, Expr, ExprLit, Fields, Lit, LitStr, Meta, Type};

use crate::model::{Field, Model, Need, Output};

/// All that is wrong.
#[derive(Default)]
pub(crate) struct Errors(Vec<syn::Error>);

impl Errors {
    fn say(&mut self, at: impl ToTokens, message: impl std::fmt::Display) {
        self.0.push(syn::Error::new_spanned(at, message));
    }

    pub(crate) fn into_tokens(self) -> TokenStream {
        self.0.iter().map(syn::Error::to_compile_error).collect()
    }
}

/// The kind, if enough is right to make something of it.
pub(crate) fn resource(input: &DeriveInput, errors: &mut Errors) -> Option<Model> {
    let Data::Struct(data) = &input.data else {
        errors.say(&input.ident, "a resource is a struct with named fields");
        return None;
    };
    let Fields::Named(fields) = &data.fields else {
        errors.say(&input.ident, "a resource is a struct with named fields");
        return None;
    };
    if !input.generics.params.is_empty() {
        errors.say(&input.generics, "a resource can't be generic: graphs name its kind, and a kind is one type");
        return None;
    }
    let (kind, watched) = kind(input, errors);
    let (mut name, mut known, mut outputs) = (None::<(Ident, String)>, Vec::new(), Vec::new());
    for field in &fields.named {
        let ident = field.ident.clone().unwrap_or_else(|| Ident::new("_", Span::call_site()));
        let doc = doc(&field.attrs);
        match role(&field.attrs, errors) {
            Role::Name => match &name {
                Some((first, _)) => {
                    errors.say(
                        &field.ident,
                        format!("a second name: `{first}` is the name already, and a resource has one"),
                    );
                }
                None => {
                    if !is_string(&field.ty) {
                        errors.say(&field.ty, "the name is a `String`");
                    }
                    name = Some((ident, doc));
                }
            },
            Role::Send => outputs.push(Output { ident, doc, ty: field.ty.clone() }),
            Role::Field(default) => {
                let (ty, need) = match (inside_option(&field.ty), default) {
                    (_, Some(default)) => (field.ty.clone(), Need::Default(default)),
                    (Some(inside), None) => (inside, Need::Option),
                    (None, None) => (field.ty.clone(), Need::Required),
                };
                known.push(Field { ident, doc, ty, need });
            }
        }
    }
    let Some((name, name_doc)) = name else {
        errors.say(&input.ident, "no name: mark the field that identifies the resource with `#[resource(name)]`");
        return None;
    };
    if outputs.len() > 32 {
        errors.say(&input.ident, "more than 32 outputs");
    }
    if known.len() > 200 {
        errors.say(&input.ident, "more than 200 fields");
    }
    Some(Model {
        ident: input.ident.clone(),
        vis: input.vis.clone(),
        kind,
        doc: doc(&input.attrs),
        watched,
        name,
        name_doc,
        fields: known,
        outputs,
    })
}

enum Role {
    Name,
    Send,
    Field(Option<Option<Expr>>),
}

/// Its name, and whether it may have a watch.
fn kind(input: &DeriveInput, errors: &mut Errors) -> (String, bool) {
    let (mut kind, mut watched) = (None, true);
    for attr in input.attrs.iter().filter(|attr| attr.path().is_ident("resource")) {
        let read = attr.parse_nested_meta(|meta| {
            if meta.path.is_ident("kind") {
                let text: LitStr = meta.value()?.parse()?;
                let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-:".contains(c);
                if text.value().is_empty() || !text.value().chars().all(good) {
                    errors.say(&text, "a kind is written in lower case letters, digits, `_`, `-` and `:`");
                }
                kind = Some(text.value());
                Ok(())
            } else if meta.path.is_ident("unwatched") {
                watched = false;
                Ok(())
            } else {
                unknown(&meta, &["kind", "unwatched"], errors)
            }
        });
        if let Err(error) = read {
            errors.0.push(error);
        }
    }
    let kind = kind.unwrap_or_else(|| {
        errors.say(
            &input.ident,
            format!("no kind: write `#[resource(kind = \"{}\")]` on it", input.ident.to_string().to_lowercase()),
        );
        input.ident.to_string().to_lowercase()
    });
    (kind, watched)
}

fn role(attrs: &[Attribute], errors: &mut Errors) -> Role {
    let mut role = Role::Field(None);
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("resource")) {
        let read = attr.parse_nested_meta(|meta| {
            let new = if meta.path.is_ident("name") {
                Role::Name
            } else if meta.path.is_ident("send") {
                Role::Send
            } else if meta.path.is_ident("default") {
                let value = if meta.input.peek(syn::Token![=]) { Some(meta.value()?.parse()?) } else { None };
                Role::Field(Some(value))
            } else {
                return unknown(&meta, &["name", "default", "send"], errors);
            };
            if !matches!(role, Role::Field(None)) {
                errors.say(&meta.path, "a field is one of `name`, `default`, `send`");
            }
            role = new;
            Ok(())
        });
        if let Err(error) = read {
            errors.0.push(error);
        }
    }
    role
}

/// Reports an attribute that does not exist, and reads over its value so that those behind it are read too.
fn unknown(meta: &ParseNestedMeta<'_>, known: &[&str], errors: &mut Errors) -> syn::Result<()> {
    let word = meta.path.to_token_stream().to_string();
    let near = known
        .iter()
        .map(|name| (distance(&word, name), name))
        .min()
        .filter(|(distance, _)| *distance <= word.len() / 3 + 1);
    let hint = match near {
        Some((_, name)) => format!("did you mean `{name}`?"),
        None => format!("there are {}", known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
    };
    errors.say(&meta.path, format!("no attribute `{word}`: {hint}"));
    if meta.input.peek(syn::Token![=]) {
        meta.value()?.parse::<Expr>()?;
    }
    Ok(())
}

fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

fn doc(attrs: &[Attribute]) -> String {
    let lines = attrs.iter().filter_map(|attr| match &attr.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    });
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

fn last_segment(ty: &Type) -> Option<&syn::PathSegment> {
    match ty {
        Type::Path(path) if path.qself.is_none() => path.path.segments.last(),
        _ => None,
    }
}

fn is_string(ty: &Type) -> bool {
    last_segment(ty).is_some_and(|segment| segment.ident == "String")
}

fn inside_option(ty: &Type) -> Option<Type> {
    let segment = last_segment(ty).filter(|segment| segment.ident == "Option")?;
    match &segment.arguments {
        syn::PathArguments::AngleBracketed(arguments) => match arguments.args.first() {
            Some(syn::GenericArgument::Type(inside)) => Some(inside.clone()),
            _ => None,
        },
        _ => None,
    }
}
