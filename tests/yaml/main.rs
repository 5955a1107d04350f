//! YAML files from outside: what they mean, what is said about wrong ones, and what the binary makes of them.

mod meaning;
mod messages;
