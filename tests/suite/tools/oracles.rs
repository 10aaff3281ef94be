//! The oracles themselves, proved: against naive definitions on all tiny histories, and by damage of every kind.

mod damage;
mod exhaustive;
mod files;
mod foreign;
mod naive;
mod texts;
