//! Whether what is printed has colours: as `--color` asks, else as the environment and the stream have it.

use std::io::{self, IsTerminal as _};

use anstream::AutoStream;
use anstream::stream::RawStream;
use clap::ColorChoice;

use crate::id::Palette;

/// The palette for a stream. `auto`: coloured if it is a terminal that knows colours, unless `NO_COLOR` or `CLICOLOR=0`
/// is set; also elsewhere with `CLICOLOR_FORCE`.
pub(crate) fn palette(choice: ColorChoice, stream: &impl RawStream) -> Palette {
    let is_coloured = match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => AutoStream::choice(stream) != anstream::ColorChoice::Never,
    };
    if is_coloured { Palette::Coloured } else { Palette::Plain }
}

/// Whether standard error is a terminal on which a line can be drawn again.
pub(crate) fn has_screen() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}
