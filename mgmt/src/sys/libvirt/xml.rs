//! XML as a tree that can be read, changed and written again. Whatever the texts contain, the writer escapes it.

use std::fmt;

use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesEnd, BytesRef, BytesStart, BytesText, Event};
use quick_xml::{Reader, Writer};

/// How deep elements may be nested.
const DEPTH_MAX: usize = 64;

/// An element with its attributes and what is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Node {
    Element(Element),
    Text(String),
}

impl Element {
    /// An element without attributes and without content.
    pub fn new(name: &str) -> Element {
        Element { name: name.to_owned(), ..Element::default() }
    }

    /// Reads the first element of a text.
    ///
    /// # Errors
    /// The text is no XML.
    pub fn parse(text: &str) -> Result<Element, String> {
        let mut reader = Reader::from_str(text);
        let mut open: Vec<Element> = Vec::new();
        loop {
            let closed = match reader.read_event().map_err(|error| error.to_string())? {
                Event::Start(start) if open.len() < DEPTH_MAX => {
                    open.push(started(&start)?);
                    None
                }
                Event::Start(_) => return Err(format!("elements are nested more than {DEPTH_MAX} levels deep")),
                Event::Empty(start) => Some(started(&start)?),
                Event::End(_) => open.pop(),
                Event::Text(text) => {
                    add_text(&mut open, &text.xml_content().map_err(|error| error.to_string())?);
                    None
                }
                Event::CData(text) => {
                    add_text(&mut open, &text.decode().map_err(|error| error.to_string())?);
                    None
                }
                Event::GeneralRef(entity) => {
                    add_text(&mut open, &meaning(&entity)?);
                    None
                }
                Event::Eof => return Err("it has no element that is closed".to_owned()),
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) | Event::DocType(_) => None,
            };
            let Some(mut closed) = closed else { continue };
            closed.drop_blanks();
            match open.last_mut() {
                Some(parent) => parent.nodes.push(Node::Element(closed)),
                None => return Ok(closed),
            }
        }
    }

    /// Blanks between elements are no content.
    fn drop_blanks(&mut self) {
        if self.nodes.iter().any(|node| matches!(node, Node::Element(_))) {
            self.nodes.retain(|node| !matches!(node, Node::Text(text) if text.trim().is_empty()));
        }
    }

    /// The same with another attribute.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl fmt::Display) -> Element {
        self.set(name, value);
        self
    }

    /// The same with another element in it.
    #[must_use]
    pub fn holding(mut self, child: Element) -> Element {
        self.push(child);
        self
    }

    /// The same with this text as its content.
    #[must_use]
    pub fn containing(mut self, text: impl fmt::Display) -> Element {
        self.nodes = vec![Node::Text(text.to_string())];
        self
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(its, _)| its == name).map(|(_, value)| value.as_str())
    }

    /// Sets an attribute.
    pub fn set(&mut self, name: &str, value: impl fmt::Display) {
        let value = value.to_string();
        match self.attributes.iter_mut().find(|(its, _)| its == name) {
            Some((_, its)) => *its = value,
            None => self.attributes.push((name.to_owned(), value)),
        }
    }

    /// Removes an attribute.
    pub fn unset(&mut self, name: &str) {
        self.attributes.retain(|(its, _)| its != name);
    }

    /// The text in the element itself.
    pub fn text(&self) -> String {
        let texts = self.nodes.iter().filter_map(|node| match node {
            Node::Text(text) => Some(text.as_str()),
            Node::Element(_) => None,
        });
        texts.collect()
    }

    /// All elements in it.
    pub fn all(&self) -> impl Iterator<Item = &Element> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    /// All elements in it, to change them.
    pub fn all_mut(&mut self) -> impl Iterator<Item = &mut Element> {
        self.nodes.iter_mut().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    /// The elements of this name in it.
    pub fn children<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.all().filter(move |element| element.name == name)
    }

    /// The first element of this name in it.
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.all().find(|element| element.name == name)
    }

    /// The first element of this name in it, which is made if there is none.
    pub fn child_mut(&mut self, name: &str) -> &mut Element {
        let found = self.nodes.iter().position(|node| matches!(node, Node::Element(its) if its.name == name));
        let at = found.unwrap_or_else(|| {
            self.nodes.push(Node::Element(Element::new(name)));
            self.nodes.len() - 1
        });
        match &mut self.nodes[at] {
            Node::Element(element) => element,
            Node::Text(_) => unreachable!("an element was found, or put there"),
        }
    }

    /// The element that these names lead to.
    pub fn at(&self, path: &[&str]) -> Option<&Element> {
        path.iter().try_fold(self, |element, name| element.child(name))
    }

    /// Adds an element.
    pub fn push(&mut self, child: Element) {
        self.nodes.push(Node::Element(child));
    }

    /// Puts an element in the place of the first one of its name, or at the end.
    pub fn put(&mut self, child: Element) {
        let name = child.name.clone();
        *self.child_mut(&name) = child;
    }

    /// Removes all elements in it of which this is true.
    pub fn remove(&mut self, is_gone: impl Fn(&Element) -> bool) {
        self.nodes.retain(|node| !matches!(node, Node::Element(element) if is_gone(element)));
    }

    fn write(&self, writer: &mut Writer<Vec<u8>>) -> std::io::Result<()> {
        let attributes = self.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let start = BytesStart::new(&self.name).with_attributes(attributes);
        if self.nodes.is_empty() {
            return writer.write_event(Event::Empty(start));
        }
        writer.write_event(Event::Start(start))?;
        for node in &self.nodes {
            match node {
                Node::Element(element) => element.write(writer)?,
                Node::Text(text) => writer.write_event(Event::Text(BytesText::new(text)))?,
            }
        }
        writer.write_event(Event::End(BytesEnd::new(&self.name)))
    }
}

/// The XML, with an element on each line.
impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
        self.write(&mut writer).map_err(|_| fmt::Error)?;
        f.write_str(&String::from_utf8(writer.into_inner()).map_err(|_| fmt::Error)?)
    }
}

fn started(start: &BytesStart<'_>) -> Result<Element, String> {
    let mut element = Element::new(&text(start.name().as_ref()));
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        let value = attribute.unescape_value().map_err(|error| error.to_string())?;
        element.attributes.push((text(attribute.key.as_ref()), value.into_owned()));
    }
    Ok(element)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn meaning(entity: &BytesRef<'_>) -> Result<String, String> {
    if let Some(character) = entity.resolve_char_ref().map_err(|error| error.to_string())? {
        return Ok(character.to_string());
    }
    let name = entity.decode().map_err(|error| error.to_string())?;
    resolve_predefined_entity(&name).map(str::to_owned).ok_or_else(|| format!("it has the unknown entity `{name}`"))
}

fn add_text(open: &mut [Element], more: &str) {
    let Some(element) = open.last_mut() else { return };
    match element.nodes.last_mut() {
        Some(Node::Text(text)) => text.push_str(more),
        _ => element.nodes.push(Node::Text(more.to_owned())),
    }
}

/// Whether XML can hold this text.
pub fn is_text(text: &str) -> bool {
    text.chars().all(|c| matches!(c, '\t' | '\n' | '\r') || (c >= ' ' && !matches!(c, '\u{fffe}' | '\u{ffff}')))
}
