//! YAML text as a tree in which every key and every value has its place. Only this file uses the parser.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use granit_parser::{Event, Marker, Parser, ScalarStyle, Span as Marks, Tag};

/// The most bytes of a file; a longer one is refused before it is parsed.
pub(crate) const BYTES_MAX: usize = 64 << 20;
/// The most values that aliases may repeat in all: enough for people, too few for an attack by repeated nesting.
const REPEATED_MAX: usize = 100_000;
/// The most values that anchors, which may be nested, may contain in all.
const ANCHORED_MAX: usize = 1_000_000;
/// The most keys of a map that is searched linearly; in larger maps keys are looked up by hash.
const SMALL_MAP_MAX: usize = 16;
/// The most lists and maps that may be nested.
const DEPTH_MAX: usize = 64;

/// Stands for a key that is not a scalar.
const NO_KEY: &str = "\0";

/// The place of a piece of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The line, from 1.
    pub(crate) line: usize,
    /// The column in characters, from 1.
    pub(crate) column: usize,
    /// The number of characters of that line that the piece covers; at least 1.
    pub(crate) width: usize,
}

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) place: Place,
    /// The number of the last line of a single value; that of the first one for a list or a map.
    pub(crate) last: usize,
    pub(crate) value: Value,
}

/// A value. The type of a scalar is decided by the code that reads it.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// The text; `plain`: without quotes, so that it may mean a number, a truth value, or null.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key and its place.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) place: Place,
    pub(crate) text: String,
}

/// A mistake in the text, and its place.
#[derive(Clone, Debug)]
pub(crate) struct Complaint {
    pub(crate) place: Place,
    pub(crate) message: String,
    /// Another place that has to do with the mistake, and what it is.
    pub(crate) also: Option<(&'static str, Place)>,
    /// There is a secret at the place: the line is not quoted.
    pub(crate) secret: bool,
    /// The key at the place occurs for the second time in its map.
    pub(crate) doubles: Option<Box<Doubles>>,
}

/// A key that occurs for the second time in its map.
#[derive(Clone, Debug)]
pub(crate) struct Doubles {
    pub(crate) key: Key,
    pub(crate) value: Node,
    /// The place of the key where it occurs first.
    pub(crate) first: Place,
    /// The place of the first value, if that is a scalar.
    pub(crate) first_scalar: Option<Place>,
}

impl Complaint {
    pub(crate) fn new(place: Place, message: impl Into<String>) -> Complaint {
        Complaint { place, message: message.into(), also: None, secret: false, doubles: None }
    }
}

impl Node {
    /// The sort of the value, in words for messages.
    pub(crate) fn sort(&self) -> &'static str {
        match &self.value {
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
            Value::Scalar { .. } if self.is_null() => "nothing",
            Value::Scalar { .. } => "a single value",
        }
    }

    /// The value is empty or a null.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }
}

/// A list or a map that has been opened and not yet closed.
enum Open {
    List(Place, usize, Vec<Node>),
    Map { place: Place, anchor: usize, entries: Entries, key: Option<Key>, merged: Vec<Node> },
}

/// The entries of a map that is being read.
#[derive(Default)]
struct Entries {
    list: Vec<(Key, Node)>,
    /// The index of each key in the list; used only if the list is long.
    index: HashMap<String, usize>,
}

impl Entries {
    fn find(&self, key: &str) -> Option<&(Key, Node)> {
        if self.list.len() <= SMALL_MAP_MAX {
            return self.list.iter().find(|(first, _)| first.text == key);
        }
        self.index.get(key).map(|place| &self.list[*place])
    }

    fn push(&mut self, key: Key, node: Node) {
        self.list.push((key, node));
        if self.list.len() > SMALL_MAP_MAX {
            for (place, (key, _)) in self.list.iter().enumerate().skip(self.index.len()) {
                self.index.insert(key.text.clone(), place);
            }
        }
    }
}

/// Reads the one document in the text. `None`: the text is empty, or it can't be read, which has been reported.
pub(crate) fn read(text: &str, complaints: &mut Vec<Complaint>) -> Option<Node> {
    let mut reader =
        Reader { text, complaints, open: Vec::new(), anchors: HashMap::new(), repeated: 0, anchored: 0, root: None };
    let mut documents = 0;
    for item in Parser::new_from_str(text) {
        let (event, marks) = match item {
            Ok(item) => item,
            Err(error) => {
                let place = at(*error.marker(), 1);
                reader.complaints.push(Complaint::new(place, syntax(text, place, &error.kind().to_string())));
                return None;
            }
        };
        if matches!(event, Event::DocumentStart(..)) {
            documents += 1;
            if documents > 1 {
                let message = "a second document begins here: a file holds one graph";
                reader.complaints.push(Complaint::new(place_of(marks), message));
                return reader.root;
            }
        }
        if !reader.event(event, marks) {
            return None;
        }
    }
    reader.root
}

/// The parser's message with a hint for the author of the file.
fn syntax(text: &str, place: Place, said: &str) -> String {
    let line = text.lines().nth(place.line - 1).unwrap_or_default();
    let indent: &str = &line[..line.len() - line.trim_start().len()];
    if said.contains("unknown anchor") {
        return "there is no anchor of that name above: an alias names a value that was marked with `&`; a text that begins with `*` goes in quotes".to_owned();
    }
    if indent.contains('\t') {
        return "a tab in the indentation: YAML takes blanks only".to_owned();
    }
    let hint = if matches!(line.chars().nth(place.column - 1), Some('@' | '`' | '%')) {
        "; a text that begins with a special character goes in quotes"
    } else if said.contains("mapping values are not allowed") {
        "; a text with `: ` in it goes in quotes; if it is not a text, look at the indentation"
    } else if said.contains("unknown escape character") {
        "; in double quotes `\\` begins an escape, in single quotes it does not"
    } else {
        ""
    };
    format!("this is not YAML: {said}{hint}")
}

fn at(mark: Marker, width: usize) -> Place {
    Place { line: mark.line().max(1), column: mark.col() + 1, width: width.max(1) }
}

fn place_of(marks: Marks) -> Place {
    let width =
        if marks.start.line() == marks.end.line() { marks.end.col().saturating_sub(marks.start.col()) } else { 1 };
    at(marks.start, width)
}

/// The last line of a value. The end of a block is in the line below it, where the next key begins.
fn last_line(text: &str, marks: Marks) -> usize {
    let before = marks.end.byte_offset().and_then(|end| text.get(..end)?.rsplit('\n').next());
    let is_below = before.is_some_and(|before| before.trim().is_empty());
    marks.end.line().saturating_sub(usize::from(is_below))
}

struct Reader<'a> {
    text: &'a str,
    complaints: &'a mut Vec<Complaint>,
    open: Vec<Open>,
    anchors: HashMap<usize, (Rc<Node>, usize)>,
    repeated: usize,
    anchored: usize,
    root: Option<Node>,
}

impl Reader<'_> {
    /// Takes one event. Returns false if the rest of the text must not be read.
    fn event(&mut self, event: Event<'_>, marks: Marks) -> bool {
        let place = place_of(marks);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && !self.is_text(tag.as_deref(), place);
                let node = Node {
                    place,
                    last: last_line(self.text, marks).max(place.line),
                    value: Value::Scalar { text: text.into_owned(), plain },
                };
                let goes_on = self.anchor(anchor, &node);
                self.put(node);
                return goes_on;
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.is_text(tag.as_deref(), place);
                self.open.push(Open::List(first_line(place), anchor, Vec::new()));
            }
            Event::MappingStart(_, anchor, tag) => {
                self.is_text(tag.as_deref(), place);
                let (entries, merged) = (Entries::default(), Vec::new());
                self.open.push(Open::Map { place: first_line(place), anchor, entries, key: None, merged });
            }
            Event::SequenceEnd | Event::MappingEnd => return self.close(),
            Event::Alias(anchor) => return self.alias(anchor, place),
            _ => {}
        }
        if self.open.len() > DEPTH_MAX {
            self.complaints
                .push(Complaint::new(place, format!("lists and maps are nested more than {DEPTH_MAX} levels deep")));
            return false;
        }
        true
    }

    /// Whether the tag marks a text. Reports tags that have no meaning here.
    fn is_text(&mut self, tag: Option<&Tag>, place: Place) -> bool {
        let Some(tag) = tag else { return false };
        if !tag.is_yaml_core_schema() || tag.is_yaml_core_schema_tag("binary") {
            let message = format!("the tag `{}` has no meaning here: write the value alone", tag.original());
            self.complaints.push(Complaint::new(place, message));
        }
        tag.is_yaml_core_schema_tag("str")
    }

    fn anchor(&mut self, anchor: usize, node: &Node) -> bool {
        if anchor == 0 {
            return true;
        }
        let size = count(node);
        self.anchored += size;
        if self.anchored > ANCHORED_MAX {
            let message = format!("anchors hold more than {ANCHORED_MAX} values in all: too many for one graph");
            self.complaints.push(Complaint::new(node.place, message));
            return false;
        }
        self.anchors.insert(anchor, (Rc::new(node.clone()), size));
        true
    }

    fn alias(&mut self, anchor: usize, place: Place) -> bool {
        let Some((node, size)) = self.anchors.get(&anchor).map(|(node, size)| (Rc::clone(node), *size)) else {
            self.complaints.push(Complaint::new(place, "the alias refers to a value that contains it"));
            return false;
        };
        self.repeated += size;
        if self.repeated > REPEATED_MAX {
            let message = format!("aliases repeat more than {REPEATED_MAX} values in all: too many for one graph");
            self.complaints.push(Complaint::new(place, message));
            return false;
        }
        self.put((*node).clone());
        true
    }

    fn close(&mut self) -> bool {
        let (node, anchor) = match self.open.pop() {
            Some(Open::List(place, anchor, nodes)) => {
                (Node { place, last: place.line, value: Value::List(nodes) }, anchor)
            }
            Some(Open::Map { place, anchor, mut entries, merged, .. }) => {
                if !merged.is_empty() {
                    let mut own = entries.list.iter().map(|(key, _)| key.text.clone()).collect();
                    self.merge(&mut entries.list, &mut own, merged);
                }
                (Node { place, last: place.line, value: Value::Map(entries.list) }, anchor)
            }
            None => return true,
        };
        let goes_on = self.anchor(anchor, &node);
        self.put(node);
        goes_on
    }

    /// `<<`: adds the entries of the other maps whose keys this map lacks.
    fn merge(&mut self, entries: &mut Vec<(Key, Node)>, own: &mut HashSet<String>, merged: Vec<Node>) {
        for node in merged {
            match node.value {
                Value::Map(others) => {
                    for (key, value) in others {
                        if own.insert(key.text.clone()) {
                            entries.push((key, value));
                        }
                    }
                }
                Value::List(nodes) => self.merge(entries, own, nodes),
                Value::Scalar { .. } => {
                    self.complaints.push(Complaint::new(node.place, "`<<` takes a map, or a list of maps"));
                }
            }
        }
    }

    fn put(&mut self, node: Node) {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List(_, _, nodes)) => nodes.push(node),
            Some(Open::Map { entries, key: waiting, merged, .. }) => match waiting.take() {
                None => {
                    let text = match node.value {
                        Value::Scalar { text, .. } => text,
                        _ => {
                            self.complaints.push(Complaint::new(node.place, "a key must be a single value"));
                            NO_KEY.to_owned()
                        }
                    };
                    *waiting = Some(Key { place: node.place, text });
                }
                Some(key) if key.text == NO_KEY => {}
                Some(key) if key.text == "<<" => merged.push(node),
                Some(key) => {
                    if let Some((first, value)) = entries.find(&key.text) {
                        let first = first.place;
                        let first_scalar = matches!(value.value, Value::Scalar { .. }).then_some(value.place);
                        self.complaints.push(Complaint {
                            also: Some(("the first is", first)),
                            ..Complaint::new(key.place, format!("duplicate key `{}`: leave it once", key.text))
                        });
                        if let Some(complaint) = self.complaints.last_mut() {
                            complaint.doubles = Some(Box::new(Doubles { key, value: node, first, first_scalar }));
                        }
                    } else {
                        entries.push(key, node);
                    }
                }
            },
        }
    }
}

/// Messages about a list or a map point to its beginning.
fn first_line(place: Place) -> Place {
    Place { width: 1, ..place }
}

fn count(node: &Node) -> usize {
    match &node.value {
        Value::Scalar { .. } => 1,
        Value::List(nodes) => 1 + nodes.iter().map(count).sum::<usize>(),
        Value::Map(entries) => 1 + entries.iter().map(|(_, node)| 1 + count(node)).sum::<usize>(),
    }
}
