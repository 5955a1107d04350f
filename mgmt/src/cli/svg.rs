//! A graph as a picture, without Graphviz.

use layout::backends::svg::SVGWriter;
use layout::core::base::Orientation;
use layout::core::geometry::Point;
use layout::core::style::{LineStyleKind, StyleAttr};
use layout::std_shapes::shapes::{Arrow, Element, ShapeKind};
use layout::topo::layout::VisualGraph;

use crate::graph::GraphConfig;

/// Larger graphs make pictures that nobody can read, and take minutes.
const NODES_MAX: usize = 500;

/// The picture.
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
        let size = Point::new((label.chars().count() as f64).mul_add(9.0, 20.0), 36.0);
        let shape = ShapeKind::new_box(&label);
        nodes.push(picture.add_node(Element::create(shape, StyleAttr::simple(), Orientation::LeftToRight, size)));
    }
    let mut pairs: Vec<_> = config.edges.iter().map(|edge| (edge.from, edge.to, edge.notify)).collect();
    pairs.sort_unstable();
    pairs.dedup_by(|next, kept| {
        let same = (next.0, next.1) == (kept.0, kept.1);
        kept.2 |= same && next.2;
        same
    });
    for (from, to, notify) in pairs {
        let mut arrow = Arrow::simple("");
        if notify {
            arrow.line_style = LineStyleKind::Dashed;
        }
        picture.add_edge(arrow, nodes[from as usize], nodes[to as usize]);
    }
    let mut writer = SVGWriter::new();
    picture.do_it(false, false, false, &mut writer);
    Ok(writer.finalize())
}
