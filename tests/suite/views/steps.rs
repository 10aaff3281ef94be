//! Every step of a small group: whoever dies, whenever.
