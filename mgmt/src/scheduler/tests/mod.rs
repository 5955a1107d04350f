//! The rules, one file each: build, handle, compare the commands.

mod bed;

mod blocked;
mod converge;
mod dirty;
mod gates;
mod group;
mod leaving;
mod look;
mod order;
mod refresh;
mod retry;
mod share;
mod stay;
mod stop;
mod swap;
mod values;
mod wait;
mod watch;
