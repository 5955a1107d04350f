//! Reads a struct. It continues after an error, so that all errors are reported at once, each on its own token.

use proc_macro2::{Ident, Span};
use syn::{Data, DeriveInput, Fields, FieldsNamed, Type};

use crate::attribute::{self, Role};
use crate::errors::Errors;
use crate::fragment::type_of;
use crate::model::{Field, Model, Need, Output, text};
use crate::words;

/// Methods that every builder has: a setter of the same name would hide one.
const TAKEN: &[&str] = &["after", "before", "subscribe", "notify", "meta", "noop"];

/// The kind. If something is wrong with it, its model is mute. `None`: the struct is generic, which no model can
/// express.
pub(crate) fn resource(input: &DeriveInput, errors: &mut Errors) -> Option<Model> {
    if !input.generics.params.is_empty() {
        errors.say(&input.generics, "a resource can't be generic: graphs name its kind, and a kind is one type");
        return None;
    }
    let named = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(named) => Some(named),
            _ => None,
        },
        _ => None,
    };
    let mut parts = Parts::default();
    let mut kind = attribute::Kind {
        kind: String::new(),
        watched: true,
        quiet: false,
        ticks: false,
        inline: "Nothing",
        provided: Vec::new(),
    };
    match named {
        None => errors.say(&input.ident, "a resource is a struct with named fields"),
        Some(fields) => {
            kind = attribute::kind(input, errors);
            parts = Parts::read(input, fields, errors);
        }
    }
    let (name, name_doc) = parts.name.unwrap_or_else(|| (Ident::new("__name", Span::call_site()), String::new()));
    Some(Model {
        ident: input.ident.clone(),
        vis: input.vis.clone(),
        kind: kind.kind,
        doc: attribute::doc(&input.attrs),
        watched: kind.watched,
        quiet: kind.quiet,
        ticks: kind.ticks,
        inline: kind.inline,
        provided: kind.provided,
        name,
        name_doc,
        fields: parts.fields,
        outputs: parts.outputs,
        mute: errors.count() > 0,
    })
}

#[derive(Default)]
struct Parts {
    name: Option<(Ident, String)>,
    fields: Vec<Field>,
    outputs: Vec<Output>,
}

impl Parts {
    fn read(input: &DeriveInput, fields: &FieldsNamed, errors: &mut Errors) -> Parts {
        let mut parts = Parts::default();
        let before = errors.count();
        for field in &fields.named {
            parts.field(field, errors);
        }
        if parts.outputs.len() > 32 {
            errors.say(&input.ident, "more than 32 outputs");
        }
        if parts.fields.len() > 200 {
            errors.say(&input.ident, "more than 200 fields");
        }
        if parts.name.is_none() {
            if errors.count() == before {
                let message = "no name: mark the field that identifies the resource with `#[resource(name)]`";
                errors.say(&input.ident, message);
            }
            // The most likely field stands in, so that calls of `new` cause no further errors.
            let place = parts.fields.iter().position(|field| field.is_required() && is(&field.ty, "String"));
            parts.name = place.map(|place| parts.fields.remove(place)).map(|field| (field.ident, field.doc));
        }
        parts
    }

    fn field(&mut self, field: &syn::Field, errors: &mut Errors) {
        let ident = field.ident.clone().unwrap_or_else(|| Ident::new("_", Span::call_site()));
        let (doc, ty) = (attribute::doc(&field.attrs), type_of(field.ty.clone()));
        match attribute::role(&field.attrs, errors) {
            Role::Name => match &self.name {
                Some((first, _)) => {
                    let message = format!("a second name: `{first}` is the name already, and a resource has one");
                    errors.say(&ident, message);
                }
                None => {
                    if !is(&ty, "String") {
                        errors.say(&field.ty, "the name is a `String`");
                    }
                    self.name = Some((ident, doc));
                }
            },
            Role::Send => self.outputs.push(Output { ident, doc, ty }),
            Role::Field(default) => {
                if TAKEN.contains(&text(&ident).as_str()) {
                    let message =
                        format!("no field may be called {}: builders have methods of these names", words::list(TAKEN));
                    errors.say(&ident, message);
                }
                let (ty, need) = match (inside_option(&ty), default) {
                    (_, Some(default)) => (ty, Need::Default(default)),
                    (Some(inside), None) => (inside, Need::Option),
                    (None, None) => (ty, Need::Required),
                };
                self.fields.push(Field { ident, doc, ty, need });
            }
        }
    }
}

fn last_segment(ty: &Type) -> Option<&syn::PathSegment> {
    match ty {
        Type::Path(path) if path.qself.is_none() => path.path.segments.last(),
        _ => None,
    }
}

fn is(ty: &Type, name: &str) -> bool {
    last_segment(ty).is_some_and(|segment| segment.ident == name)
}

/// `T` of an `Option<T>`.
pub(crate) fn inside_option(ty: &Type) -> Option<Type> {
    let segment = last_segment(ty).filter(|segment| segment.ident == "Option")?;
    match &segment.arguments {
        syn::PathArguments::AngleBracketed(arguments) => match arguments.args.first() {
            Some(syn::GenericArgument::Type(inside)) => Some(type_of(inside.clone())),
            _ => None,
        },
        _ => None,
    }
}
