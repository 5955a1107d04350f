//! Which node is at which place of the graph in force, and the reverse.

use crate::id::{Node, Place};

/// The seats of a graph. In the first graph of an engine every node has the number of its place, and nothing is stored.
#[derive(Debug, Default)]
pub(crate) struct Seats {
    len: u32,
    /// Set if nodes and places differ.
    mapped: Option<Box<Mapped>>,
}

#[derive(Debug)]
struct Mapped {
    /// The node of each place.
    nodes: Vec<Node>,
    /// The place of each node, or `Place::NONE`.
    places: Vec<Place>,
}

impl Seats {
    /// How many places there are.
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    /// The least number that no node has ever had.
    pub(crate) fn next(&self) -> u32 {
        self.mapped.as_ref().map_or(self.len, |mapped| u32::try_from(mapped.places.len()).unwrap_or(u32::MAX))
    }

    /// The node of a place.
    pub(crate) fn node(&self, place: u32) -> Node {
        self.mapped.as_ref().map_or(Node(place), |mapped| mapped.nodes[place as usize])
    }

    /// The place of a node.
    pub(crate) fn place(&self, node: Node) -> Option<Place> {
        match &self.mapped {
            Some(mapped) => mapped.places.get(node.index()).copied().filter(|place| *place != Place::NONE),
            None => (node.0 < self.len).then_some(Place(node.0)),
        }
    }

    /// All nodes, in the order of their places.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = Node> + '_ {
        (0..self.len).map(|place| self.node(place))
    }

    /// Sets the nodes of the places.
    pub(crate) fn set(&mut self, nodes: Vec<Node>) {
        let known = self.next();
        self.len = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
        if known <= self.len && (0..).zip(&nodes).all(|(place, node)| node.0 == place) {
            self.mapped = None;
            return;
        }
        let mut places = self.mapped.take().map(|mapped| mapped.places).unwrap_or_default();
        places.clear();
        places.resize(nodes.iter().map(|node| node.0 + 1).max().unwrap_or(0).max(known) as usize, Place::NONE);
        for (place, node) in (0u32..).map(Place).zip(&nodes) {
            places[node.index()] = place;
        }
        self.mapped = Some(Box::new(Mapped { nodes, places }));
    }

    /// Bytes held.
    pub(crate) fn memory(&self) -> usize {
        self.mapped.as_ref().map_or(0, |mapped| 4 * (mapped.nodes.capacity() + mapped.places.capacity()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(seats: &mut Seats, nodes: &[u32]) {
        seats.set(nodes.iter().copied().map(Node).collect());
        assert_eq!(seats.nodes().map(|node| node.0).collect::<Vec<_>>(), nodes);
        assert_eq!(seats.len(), nodes.len());
        for (place, node) in (0..).zip(nodes) {
            assert_eq!((seats.node(place), seats.place(Node(*node))), (Node(*node), Some(Place(place))));
        }
        for node in (0..seats.next() + 2).filter(|node| !nodes.contains(node)) {
            assert_eq!(seats.place(Node(node)), None, "{node} in {nodes:?}");
        }
    }

    #[test]
    fn nodes_and_places_find_one_another_also_once_they_differ() {
        let mut seats = Seats::default();
        set(&mut seats, &[]);
        set(&mut seats, &[0, 1, 2]);
        assert_eq!((seats.memory(), seats.next()), (0, 3));
        set(&mut seats, &[0, 1]);
        assert_eq!(seats.next(), 3, "the number of what has left is not free by that");
        set(&mut seats, &[3, 1, 2]);
        assert_eq!(seats.next(), 4);
        set(&mut seats, &[0, 1, 2, 3, 4]);
        assert_eq!((seats.memory(), seats.next()), (0, 5));
    }
}
