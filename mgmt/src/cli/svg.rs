//! Draws a graph as SVG, without Graphviz.

use std::collections::BTreeMap;

use layout::core::base::Orientation;
use layout::core::format::{ClipHandle, RenderBackend};
use layout::core::geometry::Point;
use layout::core::style::{LineStyleKind, StyleAttr};
use layout::std_shapes::shapes::{Arrow, Element, ShapeKind};
use layout::topo::layout::VisualGraph;

use crate::graph::GraphConfig;
use crate::id::in_one_line;
use crate::resource::Origin;

/// The most resources that are drawn: a larger picture is unreadable, and takes minutes.
const NODES_MAX: usize = 500;
/// The width of a letter and the height of a line, in pixels. The font is monospaced, so that names fit their boxes in
/// any viewer.
const LETTER: f64 = 7.9;
const LINE: f64 = 16.0;
/// The white space at the right and at the bottom, in pixels.
const MARGIN: f64 = 12.0;

/// The width of a line over which refreshes go, in half pixels.
const BOLD: usize = 5;

/// How an edge is drawn.
#[derive(Default)]
struct Look {
    notify: bool,
    /// The graph declares the edge, or a value is sent over it.
    is_declared: bool,
    /// The names of the edge, the fields that receive a value over it, and the reasons of passes that added it.
    labels: Vec<String>,
}

/// The graph as an SVG document.
///
/// # Errors
/// The graph has more than [`NODES_MAX`] resources.
pub(crate) fn draw(config: &GraphConfig) -> Result<String, String> {
    let count = config.vertices.len();
    if count > NODES_MAX {
        return Err(format!(
            "{count} resources are too many for a picture (at most {NODES_MAX}): print dot, and use Graphviz"
        ));
    }
    let mut picture = VisualGraph::new(Orientation::TopToBottom);
    let mut nodes = Vec::with_capacity(count);
    for vertex in &config.vertices {
        let label = vertex.id().to_string();
        let size = Point::new(width(&label) + 20.0, LINE + 14.0);
        let shape = ShapeKind::new_box(&label);
        nodes.push(picture.add_node(Element::create(shape, StyleAttr::simple(), Orientation::LeftToRight, size)));
    }
    let mut looks: BTreeMap<(u32, u32), Look> = BTreeMap::new();
    for edge in &config.edges {
        let look = looks.entry((edge.from, edge.to)).or_default();
        look.notify |= edge.notify;
        look.labels.extend(edge.name.as_deref().map(|name| in_one_line(name).into_owned()));
        match edge.origin {
            Origin::Pass(_) => look.labels.push(edge.origin.to_string()),
            _ => look.is_declared = true,
        }
    }
    for link in &config.links {
        let field = config.vertices[link.to as usize].resource.spec().fields[usize::from(link.field)].name;
        for (from, _) in &link.sources {
            let look = looks.entry((*from, link.to)).or_default();
            look.is_declared = true;
            look.labels.push(field.to_owned());
        }
    }
    for ((from, to), look) in looks {
        let mut arrow = Arrow::simple(&look.labels.join(", "));
        // No fill colour marks the text as the label of an edge; see `draw_text`.
        arrow.look.fill_color = None;
        if look.notify {
            arrow.look.line_width = BOLD;
        }
        if !look.is_declared {
            arrow.line_style = LineStyleKind::Dashed;
        }
        picture.add_edge(arrow, nodes[from as usize], nodes[to as usize]);
    }
    let mut canvas = Canvas::default();
    picture.do_it(false, false, false, &mut canvas);
    Ok(canvas.finish(&config.name))
}

/// The width of a text in pixels. East Asian letters are twice as wide.
fn width(text: &str) -> f64 {
    text.chars().map(|c| if c >= '\u{1100}' { 2.0 } else { 1.0 }).sum::<f64>() * LETTER
}

/// The shapes as SVG elements, and their extent.
#[derive(Default)]
struct Canvas {
    /// Lines are drawn first, below the boxes, so that no line crosses a name.
    lines: String,
    shapes: String,
    right: f64,
    bottom: f64,
}

impl Canvas {
    fn reach(&mut self, x: f64, y: f64) {
        self.right = self.right.max(x);
        self.bottom = self.bottom.max(y);
    }

    fn finish(&self, title: &str) -> String {
        let (width, height) = (self.right + MARGIN, self.bottom + MARGIN);
        format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0}" height="{height:.0}" viewBox="0 0 {width:.0} {height:.0}">
<title>{}</title>
<defs><marker id="head" markerWidth="10" markerHeight="8" refX="9" refY="4" orient="auto-start-reverse"><path d="M 0 0 L 10 4 L 0 8 z"/></marker></defs>
<style>text {{ font: 13px monospace; text-anchor: middle; }} .box {{ fill: #f4f6fa; stroke: #35507a; }} .edge {{ fill: none; stroke: #444; }} .label {{ fill: #555; stroke: #fff; stroke-width: 4px; paint-order: stroke; }}</style>
<rect width="100%" height="100%" fill="#fff"/>
{}{}</svg>
"##,
            escaped(title),
            self.lines,
            self.shapes
        )
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

impl RenderBackend for Canvas {
    fn draw_rect(&mut self, xy: Point, size: Point, _: &StyleAttr, _: Option<String>, _: Option<ClipHandle>) {
        self.reach(xy.x + size.x, xy.y + size.y);
        self.shapes.push_str(&format!(
            "<rect class=\"box\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"4\"/>\n",
            xy.x, xy.y, size.x, size.y
        ));
    }

    fn draw_text(&mut self, xy: Point, text: &str, look: &StyleAttr) {
        self.reach(xy.x + width(text) / 2.0, xy.y + LINE / 2.0);
        let class = if look.fill_color.is_some() { "" } else { " class=\"label\"" };
        // Viewers disagree about `dominant-baseline`: place the baseline a third of a letter below the middle.
        let (x, y) = (xy.x, xy.y + 4.5);
        self.shapes.push_str(&format!("<text{class} x=\"{x:.1}\" y=\"{y:.1}\">{}</text>\n", escaped(text)));
    }

    fn draw_arrow(
        &mut self,
        path: &[(Point, Point)],
        dashed: bool,
        head: (bool, bool),
        look: &StyleAttr,
        _: Option<String>,
        _: &str,
    ) {
        let mut line = String::new();
        for (n, (a, b)) in path.iter().enumerate() {
            self.reach(a.x.max(b.x), a.y.max(b.y));
            // The first pair is a point and its outgoing control point; each further pair, an incoming one and a point.
            let words = match n {
                0 => ["M", " C"],
                1 => [",", ","],
                _ => [" S", ","],
            };
            line.push_str(&format!("{} {:.1} {:.1}{} {:.1} {:.1}", words[0], a.x, a.y, words[1], b.x, b.y));
        }
        let dash = if dashed { " stroke-dasharray=\"5 4\"" } else { "" };
        let bold = if look.line_width == BOLD { " stroke-width=\"2.5\"" } else { "" };
        let start = if head.0 { " marker-start=\"url(#head)\"" } else { "" };
        let end = if head.1 { " marker-end=\"url(#head)\"" } else { "" };
        self.lines.push_str(&format!("<path class=\"edge\" d=\"{line}\"{bold}{dash}{start}{end}/>\n"));
    }

    // Boxes and arrows do not use the following methods.

    fn draw_line(&mut self, _: Point, _: Point, _: &StyleAttr, _: Option<String>) {}

    fn draw_circle(&mut self, _: Point, _: Point, _: &StyleAttr, _: Option<String>) {}

    fn create_clip(&mut self, _: Point, _: Point, _: usize) -> ClipHandle {
        0
    }
}
