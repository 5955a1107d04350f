//! Colours of printed text: each part of a text has a role, and a palette gives roles a style, or none.

use std::fmt;

use anstyle::{AnsiColor, Style};

/// The role of a part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The word `error`, and the mark of a resource that has failed.
    Error,
    /// Drift, known or possible.
    Drift,
    /// A repair, and lines that a diff adds.
    Good,
    /// Lines that a diff removes.
    Removed,
    /// A refresh.
    Refresh,
    /// Less important details.
    Aside,
    /// A place, such as a line number of a file.
    Place,
    /// All other text.
    Plain,
}

/// Whether parts of a text get the style of their role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Palette {
    /// Plain text without styles.
    #[default]
    Plain,
    /// With the escape sequences of a terminal.
    Coloured,
}

impl Palette {
    /// The part of a text, in the style of its role.
    pub fn paint<T: fmt::Display>(self, role: Role, part: T) -> Painted<T> {
        Painted { style: if self == Palette::Coloured { role.style() } else { Style::new() }, part }
    }
}

impl Role {
    /// The styles that clap uses.
    fn style(self) -> Style {
        let colour = AnsiColor::on_default;
        match self {
            Role::Error => colour(AnsiColor::Red).bold(),
            Role::Drift => colour(AnsiColor::Yellow),
            Role::Good => colour(AnsiColor::Green),
            Role::Removed => colour(AnsiColor::Red),
            Role::Refresh => colour(AnsiColor::Cyan),
            Role::Aside => Style::new().dimmed(),
            Role::Place => colour(AnsiColor::Blue).bold(),
            Role::Plain => Style::new(),
        }
    }
}

/// A part of a text in a style.
#[derive(Clone, Copy, Debug)]
pub struct Painted<T> {
    style: Style,
    part: T,
}

impl<T: fmt::Display> fmt::Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.style)?;
        self.part.fmt(f)?;
        write!(f, "{:#}", self.style)
    }
}

/// A closure that writes a text, as a `Display`.
pub(crate) struct Shown<F>(pub(crate) F);

impl<F: Fn(&mut fmt::Formatter<'_>) -> fmt::Result> fmt::Display for Shown<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.0)(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_palette_adds_nothing_and_a_coloured_one_ends_what_it_begins() {
        assert_eq!(Palette::Plain.paint(Role::Error, "x").to_string(), "x");
        let text = Palette::Coloured.paint(Role::Good, format_args!("{}", 1)).to_string();
        assert!(text.starts_with("\u{1b}[") && text.contains('1') && text.ends_with("\u{1b}[0m"), "{text:?}");
        assert_eq!(crate::id::harmless_in_colour(&text), text);
    }
}
