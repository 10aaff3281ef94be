//! Runs the checker, and tells what it found.

use std::collections::BTreeSet;
use std::fmt::{Debug, Write};
use std::hash::Hash;

use stateright::{Checker, Expectation, HasDiscoveries, Model, Path};

/// A model that this checker can run, again if it must.
pub(super) trait Checkable:
    Model<State: Clone + Debug + Hash + PartialEq + Send + Sync, Action: Clone + Debug + PartialEq>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<M> Checkable for M where
    M: Model<State: Clone + Debug + Hash + PartialEq + Send + Sync, Action: Clone + Debug + PartialEq>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// Goes through every state and returns how many there are; tells the shortest way to one that should not be.
pub(super) fn states<M: Checkable>(title: &str, model: &M) -> usize {
    let checker = model.clone().checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    for property in model.properties() {
        let is_found = checker.discovery(property.name).is_some();
        if property.expectation == Expectation::Sometimes {
            assert!(is_found, "{title}: never: {}; so nothing was proved", property.name);
        } else if is_found {
            panic!(
                "{title}: {} is violated\n{}",
                property.name,
                story(model, shortest(title, model, property.name))
            );
        }
    }
    checker.unique_state_count()
}

/// The shortest way to a state in which the property does not hold. Panics if it always holds.
pub(super) fn shortest<M: Checkable>(
    title: &str,
    model: &M,
    property: &'static str,
) -> Path<M::State, M::Action> {
    let finish = HasDiscoveries::AnyOf(BTreeSet::from([property]));
    let checker = model.clone().checker().finish_when(finish).spawn_bfs().join();
    assert!(checker.discovery(property).is_some(), "{title}: {property} holds in every state");
    // One step deeper each time: the checker itself keeps the last way that it finds, not the first.
    (1..)
        .find_map(|depth| {
            model.clone().checker().target_max_depth(depth).spawn_bfs().join().discovery(property)
        })
        .expect("it was found without a limit")
}

fn story<M: Checkable>(model: &M, path: Path<M::State, M::Action>) -> String {
    let mut told = String::new();
    for (number, (state, action)) in path.into_vec().into_iter().enumerate() {
        let step = action.and_then(|action| model.format_step(&state, action));
        if let Some(step) = step {
            writeln!(told, "{:4}  {step}", number + 1).expect("a string takes everything");
        }
    }
    told
}
