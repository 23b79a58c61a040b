//! Hot path. The price levels of one side, best first: a trie of 64-bit maps over the price.
//!
//! Six digits of six bits name any of 2^36 keys. A node says in one word which of its 64 children
//! exist, so that the next level at or behind a key is a few shifts away, on a dense ladder as on a
//! sparse one. Asks use the price as key and bids its complement: on both sides the best is the
//! smallest key, and the code is the same.

use super::slab::NIL;

const DIGIT_BITS: u32 = 6;
const DIGITS: u32 = 6;
const LEAF_DEPTH: u32 = DIGITS - 1;
/// Bits of a key above its last digit.
const LEAF_SHIFT: u32 = DIGIT_BITS;
/// A new level makes at most this many nodes: all but the root.
pub(crate) const NODES_PER_LEVEL_MAX: usize = DIGITS as usize - 1;
const ROOT: u32 = 0;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Level {
    pub key: u64,
    /// First and last order in time.
    pub head: u32,
    pub tail: u32,
    /// The trie node that knows this level; of a free level, the next free one.
    leaf: u32,
}

#[derive(Clone, Debug)]
struct Node {
    /// Which children exist.
    present: u64,
    parent: u32,
    /// This node's place among its parent's children.
    digit: u32,
    children: [u32; 64],
}

#[derive(Debug)]
pub(crate) struct Ladder {
    nodes: Vec<Node>,
    nodes_max: usize,
    free_node: u32,
    free_nodes: usize,
    levels: Vec<Level>,
    free_level: u32,
    levels_in_use: usize,
    best: u32,
    /// The leaf last walked to, and the key bits that lead there: most commands stay near it.
    near: u32,
    near_prefix: u64,
}

/// Prefix that no key has.
const NOWHERE: u64 = u64::MAX;

/// Nodes that any `levels` prices may need: at each depth one a level, but no more than digits
/// allow.
pub(crate) fn nodes_max(levels: usize) -> usize {
    let at_depth = |depth: u32| levels.min(1 << (DIGIT_BITS * depth));
    // While a level is being made, there is one more than there were orders for.
    (0..DIGITS).map(at_depth).sum::<usize>() + NODES_PER_LEVEL_MAX
}

fn digit_of(key: u64, depth: u32) -> usize {
    (key >> (DIGIT_BITS * (LEAF_DEPTH - depth)) & 63) as usize
}

impl Ladder {
    pub fn new(levels_max: usize, nodes_max: usize) -> Self {
        let mut nodes = Vec::with_capacity(nodes_max);
        nodes.push(Node { present: 0, parent: NIL, digit: 0, children: [NIL; 64] });
        Ladder {
            nodes,
            nodes_max,
            free_node: NIL,
            free_nodes: 0,
            levels: Vec::with_capacity(levels_max),
            free_level: NIL,
            levels_in_use: 0,
            best: NIL,
            near: NIL,
            near_prefix: NOWHERE,
        }
    }

    /// Whether one more level surely fits.
    #[inline]
    pub fn has_room(&self) -> bool {
        NODES_PER_LEVEL_MAX <= self.free_nodes + (self.nodes_max - self.nodes.len())
    }

    #[inline]
    pub fn best(&self) -> Option<u32> {
        (self.best != NIL).then_some(self.best)
    }

    #[inline]
    pub fn level(&self, level: u32) -> &Level {
        &self.levels[level as usize]
    }

    #[inline]
    pub fn level_mut(&mut self, level: u32) -> &mut Level {
        &mut self.levels[level as usize]
    }

    pub fn len(&self) -> usize {
        self.levels_in_use
    }

    /// The level of `key`, made if there is none. The caller has looked at [`Ladder::has_room`].
    #[inline]
    pub fn find_or_insert(&mut self, key: u64) -> u32 {
        let leaf = if key >> LEAF_SHIFT == self.near_prefix { self.near } else { self.walk(key) };
        let digit = digit_of(key, LEAF_DEPTH);
        let node = &mut self.nodes[leaf as usize];
        if node.present >> digit & 1 == 1 {
            return node.children[digit];
        }
        let level = self.new_level(key, leaf);
        let node = &mut self.nodes[leaf as usize];
        node.present |= 1 << digit;
        node.children[digit] = level;
        if self.best == NIL || key < self.levels[self.best as usize].key {
            self.best = level;
        }
        level
    }

    /// Takes out a level that has no orders any more.
    #[inline]
    pub fn remove(&mut self, level: u32) {
        let Level { key, leaf, .. } = self.levels[level as usize];
        let was_best = self.best == level;
        let mut node = leaf;
        let mut depth = LEAF_DEPTH;
        let mut digit = digit_of(key, LEAF_DEPTH) as u32;
        loop {
            let here = &mut self.nodes[node as usize];
            here.present &= !(1 << digit);
            if here.present != 0 || node == ROOT {
                break;
            }
            let (parent, place) = (here.parent, here.digit);
            self.free_node(node);
            node = parent;
            digit = place;
            depth -= 1;
        }
        self.levels[level as usize].leaf = self.free_level;
        self.free_level = level;
        self.levels_in_use -= 1;
        if was_best {
            // The best has the smallest key: what is next best is the first below `node`.
            self.best = self.first_below(node, depth);
        }
    }

    /// The next level behind `level`.
    pub fn behind(&self, level: u32) -> Option<u32> {
        let Level { key, leaf, .. } = self.levels[level as usize];
        let mut node = leaf;
        let mut depth = LEAF_DEPTH;
        let mut digit = digit_of(key, LEAF_DEPTH) as u32;
        loop {
            let here = &self.nodes[node as usize];
            // Shifted twice, because a shift by 64 is none.
            let later = here.present >> digit >> 1;
            if later != 0 {
                let next = digit + 1 + later.trailing_zeros();
                let child = here.children[next as usize];
                let at_leaf = depth == LEAF_DEPTH;
                return Some(if at_leaf { child } else { self.first_below(child, depth + 1) });
            }
            if node == ROOT {
                return None;
            }
            digit = here.digit;
            node = here.parent;
            depth -= 1;
        }
    }

    /// Leaf of `key`, with all nodes on the way there made.
    fn walk(&mut self, key: u64) -> u32 {
        let mut node = ROOT;
        for depth in 0..LEAF_DEPTH {
            let digit = digit_of(key, depth);
            let here = &self.nodes[node as usize];
            node = if here.present >> digit & 1 == 1 {
                here.children[digit]
            } else {
                let child = self.new_node(node, digit as u32);
                let here = &mut self.nodes[node as usize];
                here.present |= 1 << digit;
                here.children[digit] = child;
                child
            };
        }
        self.near = node;
        self.near_prefix = key >> LEAF_SHIFT;
        node
    }

    /// The level with the smallest key below `node`, which is `depth` digits deep; `NIL` only for
    /// an empty root.
    fn first_below(&self, mut node: u32, depth: u32) -> u32 {
        for _ in depth..LEAF_DEPTH {
            let here = &self.nodes[node as usize];
            if here.present == 0 {
                return NIL;
            }
            node = here.children[here.present.trailing_zeros() as usize];
        }
        let leaf = &self.nodes[node as usize];
        leaf.children[leaf.present.trailing_zeros() as usize]
    }

    fn new_node(&mut self, parent: u32, digit: u32) -> u32 {
        if self.free_node == NIL {
            assert!(self.nodes.len() < self.nodes_max, "Invariant: room is looked at before");
            self.nodes.push(Node { present: 0, parent, digit, children: [NIL; 64] });
            return self.nodes.len() as u32 - 1;
        }
        let node = self.free_node;
        let reused = &mut self.nodes[node as usize];
        self.free_node = reused.parent;
        self.free_nodes -= 1;
        // Its children need no clearing: `present` says that there are none.
        (reused.present, reused.parent, reused.digit) = (0, parent, digit);
        node
    }

    fn free_node(&mut self, node: u32) {
        if self.near == node {
            self.near_prefix = NOWHERE;
        }
        self.nodes[node as usize].parent = self.free_node;
        self.free_node = node;
        self.free_nodes += 1;
    }

    fn new_level(&mut self, key: u64, leaf: u32) -> u32 {
        let fresh = Level { key, head: NIL, tail: NIL, leaf };
        self.levels_in_use += 1;
        if self.free_level == NIL {
            self.levels.push(fresh);
            return self.levels.len() as u32 - 1;
        }
        let level = self.free_level;
        self.free_level = self.levels[level as usize].leaf;
        self.levels[level as usize] = fresh;
        level
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn keys() -> impl Strategy<Value = u64> {
        prop_oneof![1000u64..1200, 0u64..(1 << 36), (0u32..36).prop_map(|bit| 1 << bit)]
    }

    proptest! {
        #[test]
        fn finds_what_an_ordered_map_finds(
            steps in prop::collection::vec((keys(), any::<bool>()), 1..300)
        ) {
            let mut ladder = Ladder::new(64, 2048);
            let mut map = BTreeMap::new();
            for (key, takes_best) in steps {
                if takes_best && let Some((_, level)) = map.pop_first() {
                    ladder.remove(level);
                } else if let Some(level) = map.remove(&key) {
                    ladder.remove(level);
                } else {
                    prop_assert!(ladder.has_room());
                    let level = ladder.find_or_insert(key);
                    prop_assert_eq!(ladder.find_or_insert(key), level);
                    map.insert(key, level);
                }
                let mut walked = Vec::new();
                let mut next = ladder.best();
                while let Some(level) = next {
                    walked.push((ladder.level(level).key, level));
                    next = ladder.behind(level);
                }
                prop_assert_eq!(walked, map.clone().into_iter().collect::<Vec<_>>());
                prop_assert_eq!(ladder.len(), map.len());
            }
        }
    }
}
