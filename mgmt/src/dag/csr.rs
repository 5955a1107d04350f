//! Edges as plain arrays (compressed sparse rows), which the algorithms walk over.

/// The neighbours of every node in one array, in the order in which the edges were given.
#[derive(Debug)]
pub(crate) struct Csr {
    starts: Vec<u32>,
    targets: Vec<u32>,
}

impl Csr {
    pub(crate) fn new(n: usize, edges: impl Iterator<Item = (u32, u32)> + Clone) -> Csr {
        // The counts are stored one place late. Summed, `starts[i + 1]` is where the next neighbour of `i` goes; after
        // all edges, where they end.
        let mut starts = vec![0_u32; n + 2];
        let mut count = 0;
        for (from, _) in edges.clone() {
            starts[from as usize + 2] += 1;
            count += 1;
        }
        for i in 2..starts.len() {
            starts[i] += starts[i - 1];
        }
        let mut targets = vec![0; count];
        for (from, to) in edges {
            let at = &mut starts[from as usize + 1];
            targets[*at as usize] = to;
            *at += 1;
        }
        starts.pop();
        Csr { starts, targets }
    }

    pub(crate) fn len(&self) -> u32 {
        (self.starts.len() - 1) as u32
    }

    pub(crate) fn of(&self, node: u32) -> &[u32] {
        &self.targets[self.start(node) as usize..self.end(node) as usize]
    }

    pub(crate) fn start(&self, node: u32) -> u32 {
        self.starts[node as usize]
    }

    pub(crate) fn end(&self, node: u32) -> u32 {
        self.starts[node as usize + 1]
    }

    pub(crate) fn target(&self, at: u32) -> u32 {
        self.targets[at as usize]
    }
}
