//! The built-in kinds, one file each.

mod exec;
mod msg;
mod file;
mod noop;
mod password;
mod seconds;
mod timer;
#[cfg(test)]
mod trial;
mod unfold;
mod value;

pub use exec::{Env, EnvValue, Exec, ExecBuilder, ExecHandle};
pub use msg::{Msg, MsgBuilder, MsgHandle, Priority};
pub use file::{Content, File, FileBuilder, FileDrift, FileHandle, FileState, Mode, Owner};
pub use noop::{Noop, NoopBuilder, NoopHandle};
pub use password::{Charset, Password, PasswordBuilder, PasswordDrift, PasswordHandle};
pub use seconds::Seconds;
pub use timer::{Timer, TimerBuilder, TimerHandle};
pub use value::{Value, ValueBuilder, ValueHandle};
