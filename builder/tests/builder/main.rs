//! The builder against images made by hand, by umoci and by skopeo, and its
//! output against the kernel's EROFS and `fsck.erofs`.
//!
//! | module | what it owns |
//! |---|---|
//! | [`image`] | makes layers and layouts, right ones and wrong ones |
//! | [`view`] | looks at a unikernel file through a loop mount |
//! | [`layers`] | what layers mean |
//! | [`refused`] | images that must be refused |
//! | [`breakout`] | layers that try to leave the root |
//! | [`weaknesses`] | published weaknesses of programs of this kind, by their ids |
//! | [`platform`] | indexes with images for several machines |
//! | [`large`] | what a large image may cost |
//! | [`command`] | the command line, and files that are the same bit for bit |
//! | [`damage`] | layers with random damage |
//! | [`file`] | unikernel files that must be refused |
//! | [`host`] | `host:` images and `pack` |
//! | [`verdict`] | whether images run |
//! | [`tools`] | agreement with umoci and skopeo |

mod breakout;
mod command;
mod damage;
mod file;
mod host;
mod image;
mod large;
mod layers;
mod platform;
mod refused;
mod tools;
mod verdict;
mod view;
mod weaknesses;
