//! The configuration as a whole: what loads, what is found, and that nothing makes it panic.
