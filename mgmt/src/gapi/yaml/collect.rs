//! `collect:` and names that begin with `@@`: resources that hosts give one another. Without other hosts, a host
//! collects its own exports.

use serde_json::Value as Json;

use crate::gapi::yaml::compat;
use crate::gapi::yaml::document::Document;
use crate::gapi::yaml::tree::{Node, Value};

impl Document<'_> {
    pub(crate) fn collect(&mut self, node: &Node) {
        for node in self.list(node, "`collect`") {
            self.rule(node);
        }
    }

    fn rule(&mut self, node: &Node) {
        let Some(entries) = self.some_map(node, "what is collected") else { return };
        let (mut kind, mut pattern) = (None, None);
        for (key, node) in &*self.spelt(entries, "a rule of `collect`", &["kind", "pattern"]) {
            match key.text.as_str() {
                "kind" => {
                    let Some(text) = self.text(node, "`kind`") else { return };
                    let Some(found) = self.kind(&text, node.place) else { return };
                    kind = Some(found.spec().kind);
                }
                "pattern" => match &node.value {
                    Value::Scalar { text, .. } if text.is_empty() || node.is_null() => {}
                    _ => pattern = self.text(node, "`pattern`").map(|text| (text, node.place)),
                },
                _ => {}
            }
        }
        let Some(kind) = kind else {
            return self.complain(node.place, "name what is collected with `kind: …`");
        };
        let pattern_field = compat::pattern_field(kind);
        if let (Some((text, place)), Some(_)) = (&pattern, pattern_field)
            && !(text.starts_with('/') && text.ends_with('/'))
        {
            let message = format!(
                "`pattern` is the directory that collected files go to: it begins and ends with `/`, {text} does not"
            );
            return self.complain(*place, message);
        }
        self.drafts.collected.insert(kind.to_owned());
        // Nothing is exported in noop, but the exports of other hosts are still collected.
        if self.options.noop {
            return;
        }
        let (mut taken, mut twice) = (Vec::new(), Vec::new());
        for export in self.drafts.exports.iter_mut().filter(|export| export.draft.kind.spec().kind == kind) {
            if std::mem::replace(&mut export.collected, true) {
                twice.push(export.draft.name.as_str());
            } else {
                taken.push(export.draft.clone());
            }
        }
        if let Some(first) = twice.first() {
            let more = if twice.len() > 1 { format!(" and {} more are", twice.len() - 1) } else { " is".to_owned() };
            let message = format!("{kind}[{first}]{more} collected twice: the first rule holds");
            self.warn(node.place, message);
        }
        for mut draft in taken {
            if let (Some((pattern, _)), Some(field)) = (&pattern, pattern_field) {
                draft.fields.insert(field.to_owned(), Json::String(pattern.clone()));
            }
            self.add(draft);
        }
    }

    pub(crate) fn tell_exports(&mut self) {
        if self.options.noop {
            return;
        }
        let idle: Vec<_> = self.drafts.exports.iter().filter(|export| !export.collected).collect();
        let places: Vec<_> = idle.iter().map(|export| (export.draft.place, export.draft.name.clone())).collect();
        for (place, name) in places {
            self.warn(place, format!("`{name}` is exported and no resource collects it: it has no effect"));
        }
    }
}
