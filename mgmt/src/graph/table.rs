//! A table that finds numbers by their hashes. It is made once, for all numbers, in passes over arrays: to insert them
//! one by one would fetch a part of the table from memory for each.

/// Numbers from 0 on, by hash: about six bytes for each.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Where each bucket begins in `numbers`, and the end. There are a power of two of buckets.
    starts: Vec<u32>,
    /// The numbers of a bucket in their order, bucket by bucket.
    numbers: Vec<u32>,
}

/// A bucket has this many numbers on average, or fewer.
const BUCKET: usize = 2;

impl Table {
    /// The table of the numbers that have these hashes; and each number that is the `same` as an earlier one with the
    /// same hash, after the first such.
    pub(super) fn new(hashes: &[u64], same: impl Fn(u32, u32) -> bool) -> (Table, Vec<(u32, u32)>) {
        let buckets = (hashes.len() / BUCKET).next_power_of_two();
        let mut starts = vec![0u32; buckets + 1];
        for hash in hashes {
            starts[bucket(*hash, buckets) + 1] += 1;
        }
        for at in 0..buckets {
            starts[at + 1] += starts[at];
        }
        // Each start moves forward while its bucket is filled; in the end it is the start of the next bucket.
        let mut placed = vec![(0u32, 0u32); hashes.len()];
        for (number, hash) in (0u32..).zip(hashes) {
            let at = &mut starts[bucket(*hash, buckets)];
            placed[*at as usize] = (number, *hash as u32);
            *at += 1;
        }
        starts.copy_within(0..buckets, 1);
        starts[0] = 0;
        let mut twice = Vec::new();
        for ends in starts.windows(2) {
            let all = &placed[ends[0] as usize..ends[1] as usize];
            for (at, (second, hash)) in all.iter().enumerate().skip(1) {
                let first = all[..at].iter().find(|(first, other)| other == hash && same(*first, *second));
                twice.extend(first.map(|(first, _)| (*first, *second)));
            }
        }
        twice.sort_unstable_by_key(|(_, second)| *second);
        // Not collected from `placed` itself: that would keep its allocation, which is twice as large.
        let mut numbers = Vec::with_capacity(placed.len());
        numbers.extend(placed.iter().map(|(number, _)| *number));
        (Table { starts, numbers }, twice)
    }

    /// The first of the numbers with this hash, and perhaps others, that is the one.
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let at = bucket(hash, self.starts.len().checked_sub(1)?);
        let range = self.starts[at] as usize..self.starts[at + 1] as usize;
        self.numbers[range].iter().copied().find(|number| is_it(*number))
    }

    /// The memory of the table in bytes.
    pub(super) fn memory(&self) -> usize {
        size_of::<u32>() * (self.starts.capacity() + self.numbers.capacity())
    }
}

/// The bucket of a hash; what it does not depend on is compared.
fn bucket(hash: u64, buckets: usize) -> usize {
    (hash >> 32) as usize & (buckets - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Many of them share a bucket, and some the hash too.
    fn hash(name: u32) -> u64 {
        u64::from(name % 50) << 32 | u64::from(name % 7)
    }

    #[test]
    fn each_number_is_found_and_the_first_of_those_that_are_the_same() {
        for count in [0, 1, 2, 3, 100, 1000] {
            let names: Vec<u32> = (0..count).map(|n| if n % 10 == 9 { n / 3 } else { n }).collect();
            let hashes: Vec<u64> = names.iter().map(|name| hash(*name)).collect();
            let (table, twice) = Table::new(&hashes, |a, b| names[a as usize] == names[b as usize]);
            let first = |name| (0u32..).zip(&names).find(|(_, other)| **other == name).map(|(n, _)| n);
            for name in 0..count + 10 {
                assert_eq!(table.find(hash(name), |n| names[n as usize] == name), first(name), "{name} of {count}");
            }
            let again = (0u32..).zip(&names).filter_map(|(n, name)| Some((first(*name)?, n)));
            assert_eq!(twice, again.filter(|(first, n)| first != n).collect::<Vec<_>>());
            assert!((4 * names.len()..=8 * names.len() + 16).contains(&table.memory()), "{}", table.memory());
        }
        assert_eq!(Table::default().find(0, |_| true), None);
    }
}
