//! Resources on their way from the text to the graph: their fields as data, and the places of the fields.

use serde_json::{Map, Value as Json};

use crate::gapi::yaml::tree::Place;
use crate::graph::Doubt;
use crate::resource::{Kind, KindSpec, Meta};

/// A kind with as much as this build contains of it.
#[derive(Clone, Copy)]
pub(crate) enum Known {
    Built(Kind),
    Absent(&'static KindSpec),
}

impl Known {
    pub(crate) fn spec(self) -> &'static KindSpec {
        match self {
            Known::Built(kind) => kind.spec,
            Known::Absent(spec) => spec,
        }
    }
}

/// A resource with its fields as data, and the places of the fields.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) kind: Known,
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) meta: Meta,
    /// The hosts of `meta: {export: …}`.
    pub(crate) export: Option<Vec<String>>,
    /// Whether it is exported sealed.
    pub(crate) sealed: bool,
    pub(crate) fields: Map<String, Json>,
    /// For each field its name, the place of its key, and the place of its value.
    pub(crate) places: Vec<(String, Place, Place)>,
    pub(crate) wired: Vec<u8>,
    /// Fields whose values are not known, since what is wrong with them has been reported.
    pub(crate) misfits: Vec<u8>,
    /// A key has no meaning, which has been reported: it can have been meant for any field.
    pub(crate) has_unknown: bool,
}

impl Draft {
    /// Forgets the value of a field, which is wrong.
    pub(crate) fn doubt(&mut self, field: u8) {
        self.fields.remove(self.kind.spec().fields[usize::from(field)].name);
        if !self.misfits.contains(&field) {
            self.misfits.push(field);
        }
    }

    /// What is not known about the fields.
    pub(crate) fn doubts(&self) -> Doubt {
        let spec = self.kind.spec();
        let mut fields = self.misfits.clone();
        if self.has_unknown {
            let given = |field: &u8| self.fields.contains_key(spec.fields[usize::from(*field)].name);
            let all = 0..u8::try_from(spec.fields.len()).unwrap_or(u8::MAX);
            fields.extend(all.filter(|field| !given(field) && !self.wired.contains(field)));
        }
        Doubt { fields, any: self.has_unknown }
    }
}

/// A field that receives; its senders are looked up when all resources have been read.
pub(crate) struct Receive {
    pub(crate) to: (String, String),
    pub(crate) spec: &'static KindSpec,
    pub(crate) field: u8,
    pub(crate) from: Vec<Source>,
    /// The senders are written as a list.
    pub(crate) list: bool,
    pub(crate) place: Place,
}

/// An output that a field receives.
pub(crate) struct Source {
    pub(crate) end: End,
    pub(crate) key: String,
    pub(crate) key_place: Place,
    /// The name that the value gets, with its place.
    pub(crate) name: Option<(String, Place)>,
}

/// A resource as a file names it.
pub(crate) struct End {
    pub(crate) kind: String,
    pub(crate) spec: &'static KindSpec,
    pub(crate) name: String,
    pub(crate) place: Place,
}
