//! Views: members that die, sleep, are cut off and leave, in a simulated world; and what must hold all the same.

mod edges;
mod promises;
mod seeds;
mod slow;
mod standbys;
mod steps;
mod takers;
mod world;
