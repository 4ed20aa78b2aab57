//! CRI v1: the messages and services that `proto/` defines.

#![allow(missing_docs, clippy::all)]

tonic::include_proto!("runtime.v1");
