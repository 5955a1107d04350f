//! What the rules want to know about a file, taken from its tokens and its syntax tree.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// Facts about one file.
#[derive(Debug, Default)]
pub struct Facts {
    /// Every path that is named anywhere, with use trees spelled out, also in the arguments of macros. A lone word is a
    /// path of one.
    pub paths: Vec<PathUse>,
    /// Code lines: neither blank, nor comment, nor test.
    pub lines: usize,
    /// Every function that is not a test, as `Type::name`, and its code lines.
    pub functions: Vec<(String, usize)>,
    /// Items other than `mod x;`, `use` and tests: line and what it is.
    pub code: Vec<(usize, String)>,
    /// Types and modules that it declares: line and name.
    pub names: Vec<(usize, String)>,
    /// The texts in its code that are no tests: line and text.
    pub texts: Vec<(usize, String)>,
    /// `allow`, and `expect` without a reason.
    pub attributes: Vec<(usize, String)>,
}

/// A path that is named somewhere.
#[derive(Debug)]
pub struct PathUse {
    /// The line of the path.
    pub line: usize,
    /// Its words.
    pub words: Vec<String>,
    /// In a test.
    pub test: bool,
}

impl Facts {
    /// Reads a file; `test`: all of it is test code.
    pub fn read(text: &str, test: bool) -> Result<Facts, String> {
        let tokens: TokenStream = text.parse().map_err(|e| format!("is not Rust: {e}"))?;
        let file: syn::File = syn::parse2(tokens.clone()).map_err(|e| format!("is not Rust: {e}"))?;
        let mut reader =
            Reader { facts: Facts::default(), lines: code_lines(text, &tokens), tests: vec![], owner: None };
        if test {
            reader.tests.push(1..=usize::MAX);
        }
        reader.visit_file(&file);
        let Reader { mut facts, lines, tests, .. } = reader;
        paths(tokens.clone(), &[], &mut facts.paths);
        for path in &mut facts.paths {
            path.test = tests.iter().any(|range| range.contains(&path.line));
        }
        texts(&text.lines().collect::<Vec<_>>(), tokens.clone(), &mut facts.texts);
        facts.texts.retain(|(line, _)| !tests.iter().any(|range| range.contains(line)));
        facts.names.retain(|(line, _)| !tests.iter().any(|range| range.contains(line)));
        facts.lines = lines.iter().filter(|line| !tests.iter().any(|range| range.contains(line))).count();
        facts.code = file.items.iter().filter_map(code).collect();
        Ok(facts)
    }
}

/// The lines on which there is a token that is no comment.
fn code_lines(text: &str, tokens: &TokenStream) -> BTreeSet<usize> {
    fn add(lines: &[&str], tokens: TokenStream, out: &mut BTreeSet<usize>) {
        for token in tokens {
            let (start, end) = (token.span().start(), token.span().end());
            // A doc comment arrives as the tokens `#[doc = "…"]`, each with the place of the comment.
            if lines[start.line - 1].chars().nth(start.column) == Some('/') && !is_slash(&token) {
                continue;
            }
            match token {
                TokenTree::Group(group) => {
                    out.extend([start.line, end.line]);
                    add(lines, group.stream(), out);
                }
                _ => out.extend(start.line..=end.line),
            }
        }
    }
    let mut out = BTreeSet::new();
    add(&text.lines().collect::<Vec<_>>(), tokens.clone(), &mut out);
    out
}

/// Collects the texts in quotes. A doc comment is a text too, but begins with a slash.
fn texts(lines: &[&str], tokens: TokenStream, out: &mut Vec<(usize, String)>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => texts(lines, group.stream(), out),
            TokenTree::Literal(literal) => {
                let start = literal.span().start();
                let is_comment = lines[start.line - 1].chars().nth(start.column) == Some('/');
                if let (syn::Lit::Str(text), false) = (syn::Lit::new(literal), is_comment) {
                    out.push((start.line, text.value()));
                }
            }
            _ => {}
        }
    }
}

fn is_slash(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(p) if p.as_char() == '/')
}

/// Collects the paths in a row of tokens, which follow `prefix` if this is the inside of a use tree.
fn paths(tokens: TokenStream, prefix: &[String], out: &mut Vec<PathUse>) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let mut i = 0;
    while i < tokens.len() {
        match &tokens[i] {
            TokenTree::Ident(word) if !prefix.is_empty() && word == "as" => i += 2,
            TokenTree::Ident(word) => i = path(&tokens, i, word.span(), prefix, out),
            TokenTree::Group(group) => {
                paths(group.stream(), &[], out);
                i += 1;
            }
            TokenTree::Punct(star) if star.as_char() == '*' && !prefix.is_empty() => {
                let words = prefix.iter().cloned().chain(["*".to_owned()]).collect();
                out.push(PathUse { line: star.span().start().line, words, test: false });
                i += 1;
            }
            _ => i += 1,
        }
    }
}

/// Collects the path that starts at token `i`; returns where it ends.
fn path(tokens: &[TokenTree], mut i: usize, at: Span, prefix: &[String], out: &mut Vec<PathUse>) -> usize {
    let mut words = prefix.to_vec();
    words.push(tokens[i].to_string());
    i += 1;
    while is_colon(tokens.get(i)) && is_colon(tokens.get(i + 1)) {
        match tokens.get(i + 2) {
            Some(TokenTree::Ident(word)) => words.push(word.to_string()),
            Some(TokenTree::Punct(star)) if star.as_char() == '*' => words.push("*".into()),
            Some(TokenTree::Group(tree)) if tree.delimiter() == Delimiter::Brace => {
                paths(tree.stream(), &words, out);
                return i + 3;
            }
            _ => break,
        }
        i += 3;
    }
    out.push(PathUse { line: at.start().line, words, test: false });
    i
}

fn is_colon(token: Option<&TokenTree>) -> bool {
    matches!(token, Some(TokenTree::Punct(p)) if p.as_char() == ':')
}

/// What an item is, unless it may stand in a `mod.rs`.
fn code(item: &syn::Item) -> Option<(usize, String)> {
    let what = match item {
        syn::Item::Use(_) => return None,
        syn::Item::Mod(m) if m.content.is_none() || is_test(&m.attrs) => return None,
        syn::Item::Mod(_) => "a module with a body",
        syn::Item::Fn(_) => "a function",
        syn::Item::Macro(_) => "a macro",
        syn::Item::Impl(_) => "an impl",
        syn::Item::Trait(_) => "a trait",
        syn::Item::Struct(_) | syn::Item::Enum(_) | syn::Item::Type(_) | syn::Item::Union(_) => "a type",
        syn::Item::Const(_) | syn::Item::Static(_) => "a constant",
        _ => "code",
    };
    Some((item.span().start().line, what.into()))
}

/// `#[cfg(test)]`, `#[cfg(all(test, …))]` or `#[test]`.
fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) if list.path.is_ident("cfg") => {
            let condition = list.tokens.to_string().replace(' ', "");
            condition == "test" || condition.starts_with("all(test,")
        }
        meta => meta.path().segments.last().is_some_and(|s| s.ident == "test"),
    })
}

struct Reader {
    facts: Facts,
    lines: BTreeSet<usize>,
    tests: Vec<RangeInclusive<usize>>,
    /// The type whose impl we are in.
    owner: Option<String>,
}

impl Reader {
    fn function(&mut self, name: &syn::Ident, from: Span, to: Span) {
        let range = from.start().line..=to.end().line;
        if !self.tests.iter().any(|t| t.contains(range.start())) {
            let name = self.owner.iter().map(String::clone).chain([name.to_string()]).collect::<Vec<_>>().join("::");
            self.facts.functions.push((name, self.lines.range(range).count()));
        }
    }

    fn name(&mut self, name: Option<&syn::Ident>) {
        self.facts.names.extend(name.map(|name| (name.span().start().line, name.to_string())));
    }

    fn inside(&mut self, owner: String, go: impl FnOnce(&mut Reader)) {
        let outer = self.owner.replace(owner);
        go(self);
        self.owner = outer;
    }
}

impl<'a> Visit<'a> for Reader {
    fn visit_item(&mut self, item: &'a syn::Item) {
        let attributes = match item {
            syn::Item::Fn(i) => &i.attrs,
            syn::Item::Mod(i) => &i.attrs,
            syn::Item::Impl(i) => &i.attrs,
            syn::Item::Use(i) => &i.attrs,
            syn::Item::Struct(i) => &i.attrs,
            syn::Item::Enum(i) => &i.attrs,
            syn::Item::Trait(i) => &i.attrs,
            _ => return visit::visit_item(self, item),
        };
        let name = match item {
            syn::Item::Mod(i) => Some(&i.ident),
            syn::Item::Struct(i) => Some(&i.ident),
            syn::Item::Enum(i) => Some(&i.ident),
            syn::Item::Trait(i) => Some(&i.ident),
            _ => None,
        };
        self.name(name.filter(|_| !is_test(attributes)));
        if is_test(attributes) {
            self.tests.push(item.span().start().line..=item.span().end().line);
        }
        visit::visit_item(self, item);
    }

    fn visit_item_fn(&mut self, f: &'a syn::ItemFn) {
        self.function(&f.sig.ident, f.sig.span(), f.block.span());
        visit::visit_item_fn(self, f);
    }

    fn visit_item_impl(&mut self, i: &'a syn::ItemImpl) {
        let owner = match &*i.self_ty {
            syn::Type::Path(t) => t.path.segments.last().map(|s| s.ident.to_string()),
            _ => None,
        };
        self.inside(owner.unwrap_or_else(|| "impl".into()), |me| visit::visit_item_impl(me, i));
    }

    fn visit_item_trait(&mut self, t: &'a syn::ItemTrait) {
        self.inside(t.ident.to_string(), |me| visit::visit_item_trait(me, t));
    }

    fn visit_impl_item_fn(&mut self, f: &'a syn::ImplItemFn) {
        self.function(&f.sig.ident, f.sig.span(), f.block.span());
        visit::visit_impl_item_fn(self, f);
    }

    fn visit_trait_item_fn(&mut self, f: &'a syn::TraitItemFn) {
        self.function(&f.sig.ident, f.sig.span(), f.span());
        visit::visit_trait_item_fn(self, f);
    }

    fn visit_attribute(&mut self, attribute: &'a syn::Attribute) {
        let line = attribute.span().start().line;
        let mut say = |what: &str| self.facts.attributes.push((line, what.into()));
        let syn::Meta::List(list) = &attribute.meta else { return };
        let inside = list.tokens.to_string().replace(' ', "");
        if list.path.is_ident("allow") || (list.path.is_ident("cfg_attr") && inside.contains(",allow(")) {
            say("`allow`: write `expect(lint, reason = \"…\")`");
        } else if (list.path.is_ident("expect") || (list.path.is_ident("cfg_attr") && inside.contains(",expect(")))
            && !inside.contains("reason=")
        {
            say("`expect` without a reason");
        }
    }
}
