//! Whether output has colours: `--color` decides, or by default the environment and the stream.

use std::io::{self, IsTerminal as _};

use anstream::AutoStream;
use anstream::stream::RawStream;
use clap::ColorChoice;

use crate::id::Palette;

/// The palette for a stream. `auto`: coloured if the stream is a terminal with colours, unless `NO_COLOR` or
/// `CLICOLOR=0` is set; with `CLICOLOR_FORCE`, coloured on any stream.
pub(crate) fn palette(choice: ColorChoice, stream: &impl RawStream) -> Palette {
    let is_coloured = match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => AutoStream::choice(stream) != anstream::ColorChoice::Never,
    };
    if is_coloured { Palette::Coloured } else { Palette::Plain }
}

/// Whether standard error is a terminal on which a line can be redrawn.
pub(crate) fn has_screen() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}
