//! The owner of one remote session: [`mux`] lets any number of local shells share it.

pub mod mux;
