//! Reads `#[resource(…)]` on a struct and on its fields. A mistake is reported; if its
//! intended meaning is clear, that is used nevertheless.

use quote::ToTokens;
use syn::meta::ParseNestedMeta;
use syn::{Attribute, DeriveInput, Expr, Meta, Type};

use crate::errors::Errors;
use crate::fragment::{text_of, type_of, value_of};
use crate::words;

/// The part that a field has in its kind.
pub(crate) enum Role {
    Name,
    Send,
    Field(Option<Option<Expr>>),
}

/// The attributes of the struct.
pub(crate) struct Kind {
    /// The kind's name; the struct's name in lower case if the attribute is missing.
    pub(crate) kind: String,
    /// The kind may have a watch.
    pub(crate) watched: bool,
    /// The kind logs nothing.
    pub(crate) quiet: bool,
    /// The events of the kind's watch are ticks.
    pub(crate) ticks: bool,
    /// Which of the kind's functions the engine's loop calls itself: the name of a variant of `Inline`.
    pub(crate) inline: &'static str,
    /// The types that the kind needs from the program.
    pub(crate) provided: Vec<Type>,
}

pub(crate) fn kind(input: &DeriveInput, errors: &mut Errors) -> Kind {
    let before = errors.count();
    let (mut kind, mut watched, mut quiet, mut ticks, mut provided) = (None, true, false, false, Vec::new());
    let mut inline = "Nothing";
    for attr in ours(&input.attrs) {
        errors.collect(attr, |meta, errors| {
            match word(meta, &["kind", "unwatched", "quiet", "ticks", "inline", "provided"], errors)? {
                Some("kind") => {
                    let text = kind_text(meta, errors)?;
                    if text.is_some() && kind.is_some() {
                        errors.say(&meta.path, "a second kind: a resource has one");
                    }
                    kind = text.or(kind.take());
                }
                Some("provided") => match meta.input.peek(syn::Token![=]) {
                    true => provided.extend(types(meta.value()?.parse()?)),
                    false => errors.say(&meta.path, "the type is missing: write `provided = Type`"),
                },
                Some("quiet") => {
                    quiet = true;
                    without_value(meta, "quiet", errors)?;
                }
                Some("ticks") => {
                    ticks = true;
                    without_value(meta, "ticks", errors)?;
                }
                Some("inline") => {
                    inline = match value(meta)? {
                        None => "Everything",
                        Some(Expr::Path(path)) if path.path.is_ident("watch") => "Watch",
                        Some(value) => {
                            errors.say(value, "write `inline`, or `inline = watch` for the watch alone");
                            inline
                        }
                    };
                }
                Some(_) => {
                    watched = false;
                    without_value(meta, "unwatched", errors)?;
                }
                None => {}
            }
            Ok(())
        });
    }
    let kind = kind.unwrap_or_else(|| {
        let guess = input.ident.to_string().to_lowercase();
        // An error that was reported already may be the reason why the kind is missing.
        if errors.count() == before {
            errors.say(&input.ident, format!("no kind: write `#[resource(kind = \"{guess}\")]` on it"));
        }
        guess
    });
    Kind { kind, watched, quiet, ticks, inline, provided }
}

/// One type, or a tuple of several.
fn types(ty: Type) -> Vec<Type> {
    match type_of(ty) {
        Type::Tuple(types) => types.elems.into_iter().map(type_of).collect(),
        ty => vec![ty],
    }
}

fn kind_text(meta: &ParseNestedMeta<'_>, errors: &mut Errors) -> syn::Result<Option<String>> {
    let Some(value) = value(meta)? else {
        errors.say(&meta.path, "the kind is missing: write `kind = \"…\"`");
        return Ok(None);
    };
    let Some(text) = text_of(&value) else {
        errors.say(value, "the kind is a text: write `kind = \"…\"`");
        return Ok(None);
    };
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-:".contains(c);
    if text.value().is_empty() || !text.value().chars().all(good) {
        errors.say(text, "a kind is written in lower case letters, digits, `_`, `-` and `:`");
    }
    Ok(Some(text.value()))
}

/// The role that the attributes of a field give it.
pub(crate) fn role(attrs: &[Attribute], errors: &mut Errors) -> Role {
    const ROLES: &[&str] = &["name", "default", "send"];
    let mut role: Option<Role> = None;
    for attr in ours(attrs) {
        errors.collect(attr, |meta, errors| {
            let Some(word) = word(meta, ROLES, errors)? else { return Ok(()) };
            let new = if word == "default" {
                Role::Field(Some(value(meta)?))
            } else {
                without_value(meta, word, errors)?;
                if word == "name" { Role::Name } else { Role::Send }
            };
            if role.is_some() {
                errors.say(&meta.path, "a field is one of `name`, `default`, `send`");
            } else {
                role = Some(new);
            }
            Ok(())
        });
    }
    role.unwrap_or(Role::Field(None))
}

/// The documentation of an item, line by line as written.
pub(crate) fn doc(attrs: &[Attribute]) -> String {
    let lines = attrs.iter().filter_map(|attr| match &attr.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => text_of(&pair.value),
        _ => None,
    });
    let lines = lines.map(|text| text.value().trim().to_owned());
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

fn ours(attrs: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attrs.iter().filter(|attr| attr.path().is_ident("resource"))
}

/// The known word that this item is or resembles. `None`: it resembles no known word; its value has been skipped, so
/// that the items after it are read too.
fn word(meta: &ParseNestedMeta<'_>, known: &[&'static str], errors: &mut Errors) -> syn::Result<Option<&'static str>> {
    if let Some(word) = known.iter().find(|word| meta.path.is_ident(word)) {
        return Ok(Some(word));
    }
    let word = meta.path.to_token_stream().to_string();
    let near = words::nearest(&word, known);
    let hint = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", words::list(known)),
    };
    errors.say(&meta.path, format!("no attribute `{word}`: {hint}"));
    if near.is_none() {
        value(meta)?;
    }
    Ok(near)
}

fn value(meta: &ParseNestedMeta<'_>) -> syn::Result<Option<Expr>> {
    if meta.input.peek(syn::Token![=]) { Ok(Some(value_of(meta.value()?.parse()?))) } else { Ok(None) }
}

fn without_value(meta: &ParseNestedMeta<'_>, word: &str, errors: &mut Errors) -> syn::Result<()> {
    if let Some(value) = value(meta)? {
        errors.say(value, format!("`{word}` takes no value"));
    }
    Ok(())
}
