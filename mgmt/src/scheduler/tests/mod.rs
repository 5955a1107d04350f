//! The rules, one file each: build, handle, compare the commands.

mod bed;

mod order;
