#![cfg_attr(fuzzing, no_main)]
//! See the module of the same name.
primus_fuzz::target!(primus_fuzz::engineio);
