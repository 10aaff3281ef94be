//! Keys of the forwarder and of the members: files, folders, and `groupcast keys`.
//!
//! `certificate` is one file, in the form of `zpl`, with a `permit`; `files` reads and writes it on the disk. `folder` is
//! all that an operator has, `own` all that a member needs. `tool` is `groupcast keys`. The keys themselves are in
//! [`crate::transport::curve`].

mod certificate;
mod files;
mod folder;
mod own;
mod permit;
pub(crate) mod tool;
mod zpl;
