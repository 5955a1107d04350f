//! A list that is nearly always empty or holds one thing.

use std::slice;

/// Takes no memory of its own for up to one thing.
#[derive(Debug, Default)]
pub(super) enum List<T> {
    #[default]
    Empty,
    One(T),
    #[expect(clippy::box_collection, reason = "there may be very many lists, nearly all of them shorter")]
    Many(Box<Vec<T>>),
}

impl<T: Copy> List<T> {
    pub(super) fn as_slice(&self) -> &[T] {
        match self {
            Self::Empty => &[],
            Self::One(one) => slice::from_ref(one),
            Self::Many(many) => many,
        }
    }

    pub(super) fn push(&mut self, thing: T) {
        match self {
            Self::Empty => *self = Self::One(thing),
            Self::One(one) => *self = Self::Many(Box::new(vec![*one, thing])),
            Self::Many(many) => many.push(thing),
        }
    }

    /// Removes the first thing that `is_it`, if any; the order of the rest is not kept.
    pub(super) fn remove(&mut self, is_it: impl Fn(&T) -> bool) -> Option<T> {
        match self {
            Self::Empty => None,
            Self::One(one) if is_it(one) => {
                let one = *one;
                *self = Self::Empty;
                Some(one)
            }
            Self::One(_) => None,
            Self::Many(many) => {
                let place = many.iter().position(is_it)?;
                let gone = many.swap_remove(place);
                if let [one] = many[..] {
                    *self = Self::One(one);
                }
                Some(gone)
            }
        }
    }
}
