//! Checks whether sequences are consistent with one total order of their items.
//!
//! The algorithm removes items from the front: an item goes once it is first in every sequence that holds it. If
//! each remaining first item waits for another, the sequences contradict one another. Usually two members hold two
//! items in opposite orders; but three members, of which no two share two items, can also contradict: a before b, b
//! before c, c before a.

/// Marks an item that a sequence does not hold.
const NOWHERE: u32 = u32::MAX;

/// The statement that one sequence holds one item before another, by their positions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Step {
    pub(super) sequence: usize,
    pub(super) before: usize,
    pub(super) after: usize,
}

/// Returns a cycle of steps in which each step begins with the item that ends the previous one; two steps if two
/// sequences suffice. Items are below `count`, and no sequence holds an item twice.
pub(super) fn contradiction(sequences: &[Vec<u32>], count: usize) -> Option<Vec<Step>> {
    let places: Vec<Vec<u32>> = sequences.iter().map(|sequence| places(sequence, count)).collect();
    let heads = stuck(sequences, &places)?;
    let two = pairs(sequences.len()).find_map(|(one, other)| inversion(sequences, &places, one, other));
    two.or_else(|| circle(sequences, &places, &heads))
}

/// Returns all pairs of indices below `count`.
pub(super) fn pairs(count: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..count).flat_map(|one| (0..one).map(move |other| (other, one)))
}

/// Returns the position of each item in the sequence.
fn places(sequence: &[u32], count: usize) -> Vec<u32> {
    let mut places = vec![NOWHERE; count];
    for (place, &item) in (0..).zip(sequence) {
        places[item as usize] = place;
    }
    places
}

/// Removes items as long as possible; returns each sequence's first remaining position, or `None` if no item remains.
fn stuck(sequences: &[Vec<u32>], places: &[Vec<u32>]) -> Option<Vec<usize>> {
    let mut heads = vec![0; sequences.len()];
    let mut ready: Vec<usize> = (0..sequences.len()).collect();
    while let Some(sequence) = ready.pop() {
        while let Some(&item) = sequences[sequence].get(heads[sequence]) {
            let holders = || (0..sequences.len()).filter(|&other| places[other][item as usize] != NOWHERE);
            if holders().any(|other| places[other][item as usize] as usize != heads[other]) {
                break;
            }
            for other in holders() {
                heads[other] += 1;
                if other != sequence {
                    ready.push(other);
                }
            }
        }
    }
    (0..sequences.len()).any(|one| heads[one] < sequences[one].len()).then_some(heads)
}

/// Returns the first two shared items that are adjacent among them in `other` and reversed in `one`.
fn inversion(sequences: &[Vec<u32>], places: &[Vec<u32>], one: usize, other: usize) -> Option<Vec<Step>> {
    let mut last: Option<(usize, usize)> = None;
    for (place, &item) in sequences[other].iter().enumerate() {
        let at_one = places[one][item as usize];
        if at_one == NOWHERE {
            continue;
        }
        let at_one = at_one as usize;
        if let Some((last, last_at_one)) = last
            && at_one < last_at_one
        {
            return Some(vec![
                Step { sequence: one, before: at_one, after: last_at_one },
                Step { sequence: other, before: last, after: place },
            ]);
        }
        last = Some((place, at_one));
    }
    None
}

/// Returns a cycle of waiting items. Each first remaining item waits for the first remaining item of another
/// sequence, so the walk must end in a cycle.
fn circle(sequences: &[Vec<u32>], places: &[Vec<u32>], heads: &[usize]) -> Option<Vec<Step>> {
    let mut way: Vec<Step> = Vec::new();
    let mut waiting = (0..sequences.len()).find(|&one| heads[one] < sequences[one].len())?;
    loop {
        let item = sequences[waiting][heads[waiting]] as usize;
        let holds_up =
            |other: &usize| places[*other][item] != NOWHERE && places[*other][item] as usize > heads[*other];
        let other = (0..sequences.len()).find(holds_up)?;
        let step = Step { sequence: other, before: heads[other], after: places[other][item] as usize };
        if let Some(start) = way.iter().position(|known| known.sequence == other) {
            // The walk goes from each item to its predecessor.
            way.drain(..start);
            way[0] = step;
            way.reverse();
            return Some(way);
        }
        way.push(step);
        waiting = other;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn story(sequences: &[&[u32]]) -> Option<Vec<[u32; 2]>> {
        let sequences: Vec<Vec<u32>> = sequences.iter().map(|sequence| sequence.to_vec()).collect();
        let steps = contradiction(&sequences, 10)?;
        let items = |step: &Step| [step.before, step.after].map(|place| sequences[step.sequence][place]);
        Some(steps.iter().map(items).collect())
    }

    #[test]
    fn consistent_sequences_give_no_contradiction() {
        assert_eq!(story(&[]), None);
        assert_eq!(story(&[&[], &[1]]), None);
        assert_eq!(story(&[&[1, 2, 3], &[1, 3], &[2, 3, 4], &[4, 5]]), None);
        assert_eq!(story(&[&[5, 6], &[6, 7], &[5, 7]]), None);
    }

    #[test]
    fn contradiction_returns_the_shortest_cycle_in_order() {
        assert_eq!(story(&[&[1, 2, 3], &[3, 2]]), Some(vec![[2, 3], [3, 2]]));
        assert_eq!(story(&[&[1, 2], &[2, 3], &[3, 1]]), Some(vec![[1, 2], [2, 3], [3, 1]]));
        assert_eq!(story(&[&[1, 2], &[3, 1], &[2, 3]]), Some(vec![[1, 2], [2, 3], [3, 1]]));
        let four = story(&[&[0, 1, 8, 2], &[2, 3], &[9, 3, 4], &[4, 1]]).unwrap();
        assert_eq!(four.len(), 4);
        assert!(
            four.iter().zip(four.iter().cycle().skip(1)).all(|(one, next)| one[1] == next[0]),
            "{four:?}"
        );
        // A cycle of two is preferred to a cycle of three.
        assert_eq!(story(&[&[1, 2, 8, 9], &[2, 3, 9, 8], &[3, 1]]), Some(vec![[8, 9], [9, 8]]));
        // Sequences outside the cycle are left out.
        assert_eq!(story(&[&[7, 1], &[1, 2], &[2, 3], &[3, 1], &[1, 7]]).unwrap().len(), 2);
        assert_eq!(story(&[&[1, 7], &[1, 2], &[2, 3], &[3, 1]]).unwrap(), [[1, 2], [2, 3], [3, 1]]);
    }
}
