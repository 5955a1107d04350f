//! The text of fstab(5): an entry is a line of six fields, in which blanks are written as `\040`.

use serde::{Deserialize, Serialize};

use crate::resources::mount::options::split;
use crate::sys::tables;

/// The file.
pub(super) const FILE: &str = "/etc/fstab";
/// The type of entries for swap devices.
pub(super) const SWAP: &str = "swap";
/// The mount point of what has none.
const NO_POINT: &str = "none";

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) device: String,
    /// Empty for a swap device.
    pub(super) point: String,
    pub(super) fstype: String,
    pub(super) options: Vec<String>,
    pub(super) freq: u32,
    pub(super) passno: u32,
}

/// What an entry is known by: its mount point, or its device if it is one for swap.
#[derive(Clone, Copy, Debug)]
pub(super) enum Which<'a> {
    Point(&'a str),
    Swap(&'a str),
}

impl Entry {
    /// The entry of a line; `None`: it is a comment, is blank, or is no entry.
    fn of(line: &str) -> Option<Entry> {
        let fields: Vec<&str> = fields(line).map(|(field, _)| field).collect();
        let [device, point, fstype, ..] = *fields.as_slice() else { return None };
        if device.starts_with('#') {
            return None;
        }
        let number = |at: usize| fields.get(at).and_then(|field| field.parse().ok()).unwrap_or(0);
        let is_swap = fstype == SWAP;
        Some(Entry {
            device: unescape(device),
            point: if is_swap { String::new() } else { unescape(point) },
            fstype: unescape(fstype),
            options: split(&unescape(fields.get(3).unwrap_or(&""))),
            freq: number(4),
            passno: number(5),
        })
    }

    fn is(&self, which: Which<'_>) -> bool {
        match which {
            Which::Point(point) => self.fstype != SWAP && trimmed(&self.point) == trimmed(point),
            Which::Swap(device) => self.fstype == SWAP && self.device == device,
        }
    }

    /// The fields as they are written.
    fn to_fields(&self) -> [String; 6] {
        let point = if self.point.is_empty() { NO_POINT } else { &self.point };
        let options = if self.options.is_empty() { "defaults".to_owned() } else { self.options.join(",") };
        let [device, point, fstype, options] = [&self.device, point, &self.fstype, &options].map(escape);
        [device, point, fstype, options, self.freq.to_string(), self.passno.to_string()]
    }

    /// The line of the entry, without its end.
    pub(super) fn line(&self) -> String {
        self.to_fields().join(" ")
    }

    /// Whether both mean the same; the order of options does not count, except that of equal names.
    pub(super) fn is_same(&self, other: &Entry) -> bool {
        let sorted = |entry: &Entry| {
            let mut options = entry.options.clone();
            options.sort();
            options
        };
        let rest =
            |entry: &Entry| Entry { options: Vec::new(), point: trimmed(&entry.point).to_owned(), ..entry.clone() };
        sorted(self) == sorted(other) && rest(self) == rest(other)
    }
}

/// A mount point without the slash at its end.
fn trimmed(point: &str) -> &str {
    match point.trim_end_matches('/') {
        "" => point,
        trimmed => trimmed,
    }
}

/// The fields of a line, each with the place where it begins.
fn fields(line: &str) -> impl Iterator<Item = (&str, usize)> {
    line.split([' ', '\t', '\r', '\n'])
        .filter(|field| !field.is_empty())
        .map(move |field| (field, field.as_ptr() as usize - line.as_ptr() as usize))
}

fn escape(field: &(impl AsRef<str> + ?Sized)) -> String {
    let mut escaped = String::new();
    for (at, c) in field.as_ref().char_indices() {
        match c {
            ' ' => escaped.push_str("\\040"),
            '\t' => escaped.push_str("\\011"),
            '\n' => escaped.push_str("\\012"),
            '\\' => escaped.push_str("\\134"),
            '#' if at == 0 => escaped.push_str("\\043"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A field with its characters that are written as a backslash and three octal digits.
pub(super) fn unescape(field: &str) -> String {
    String::from_utf8_lossy(&tables::unescape(field.as_bytes())).into_owned()
}

/// The entries of the text that are known by this, with the numbers of their lines.
fn places(text: &str, which: Which<'_>) -> Vec<(usize, Entry)> {
    let lines = text.split_inclusive('\n').enumerate();
    lines.filter_map(|(at, line)| Some((at, Entry::of(line)?))).filter(|(_, entry)| entry.is(which)).collect()
}

/// The entries of the text that are known by this.
pub(super) fn entries(text: &str, which: Which<'_>) -> Vec<Entry> {
    places(text, which).into_iter().map(|(_, entry)| entry).collect()
}

/// How entries were in the text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Was {
    /// Their lines, without ends.
    pub(super) lines: Vec<String>,
    /// The number of the first of them, and the line before it.
    at: usize,
    after: String,
    /// The last line of the text had no end.
    open: bool,
}

/// The lines of these entries, as they are written.
pub(super) fn lines(text: &str, which: Which<'_>) -> Vec<String> {
    let places: Vec<usize> = places(text, which).into_iter().map(|(at, _)| at).collect();
    let all = text.split_inclusive('\n').enumerate().filter(|(at, _)| places.contains(at));
    all.map(|(_, line)| without_end(line).to_owned()).collect()
}

/// How these entries are in the text.
pub(super) fn was(text: &str, which: Which<'_>) -> Was {
    let first = places(text, which).first().map_or(0, |(at, _)| *at);
    let after = first.checked_sub(1).and_then(|at| text.split_inclusive('\n').nth(at)).unwrap_or_default();
    let open = !text.is_empty() && !text.ends_with('\n');
    Was { lines: lines(text, which), at: first, after: without_end(after).to_owned(), open }
}

fn without_end(line: &str) -> &str {
    line.trim_end_matches(['\r', '\n'])
}

/// The text with this entry in the place of the first one that is known by the same, of which further ones are removed;
/// `None`: all of them are. In a line that stays, blanks between fields, and a comment at its end, stay.
pub(super) fn with(text: &str, which: Which<'_>, entry: Option<&Entry>) -> String {
    let places = places(text, which);
    let mut new = String::with_capacity(text.len() + 80);
    for (at, line) in text.split_inclusive('\n').enumerate() {
        match places.iter().position(|(place, _)| *place == at) {
            None => new.push_str(line),
            Some(0) => match entry {
                Some(entry) if places[0].1.is_same(entry) => new.push_str(line),
                Some(entry) => new.push_str(&changed(line, entry)),
                None => {}
            },
            Some(_) => {}
        }
    }
    if let (true, Some(entry)) = (places.is_empty(), entry) {
        close(&mut new);
        new.push_str(&entry.line());
        new.push('\n');
    }
    new
}

/// A text in which the entries that are known by this are as they were; all other lines stay.
pub(super) fn restored(text: &str, which: Which<'_>, was: &Was) -> String {
    let all: Vec<&str> = text.split_inclusive('\n').collect();
    let places: Vec<usize> = places(text, which).into_iter().map(|(at, _)| at).collect();
    let is_after =
        |at: usize| at.checked_sub(1).is_none_or(|at| all.get(at).is_some_and(|l| without_end(l) == was.after));
    let after = || (1..=all.len()).find(|at| is_after(*at));
    // In the place of the present ones, or where they were, or else after the line that was before them, or at the end.
    let at = places.first().copied().or_else(|| Some(was.at).filter(|at| is_after(*at))).or_else(after);
    let at = at.unwrap_or(all.len());
    let mut new = String::with_capacity(text.len() + 80);
    for number in 0..=all.len() {
        if number == at {
            for line in &was.lines {
                close(&mut new);
                new.push_str(line);
                new.push('\n');
            }
        }
        if let Some(line) = all.get(number).filter(|_| !places.contains(&number)) {
            close(&mut new);
            new.push_str(line);
        }
    }
    let is_at_end = at + places.len() >= all.len();
    if was.open && is_at_end && new.ends_with('\n') {
        new.pop();
    }
    new
}

fn close(text: &mut String) {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
}

/// The line with the fields of this entry.
fn changed(line: &str, entry: &Entry) -> String {
    let new = entry.to_fields();
    let old: Vec<(&str, usize)> = fields(line).take_while(|(field, _)| !field.starts_with('#')).take(6).collect();
    let old_entry = Entry::of(line);
    let (mut changed, mut at) = (String::new(), 0);
    for (number, (field, start)) in old.iter().enumerate() {
        changed.push_str(&line[at..*start]);
        // A field that means the same in other words stays.
        let is_kept = old_entry.as_ref().is_some_and(|old| is_field_kept(old, entry, number));
        changed.push_str(if is_kept { field } else { &new[number] });
        at = start + field.len();
    }
    let lacking = &new[old.len()..];
    // They are the defaults of fields that are not there.
    if lacking.iter().any(|field| field != "0" && field != "defaults") {
        lacking.iter().for_each(|field| changed.extend([" ", field]));
    }
    changed + &line[at..]
}

fn is_field_kept(old: &Entry, new: &Entry, number: usize) -> bool {
    let with = |change: &dyn Fn(&mut Entry)| {
        let mut entry = old.clone();
        change(&mut entry);
        entry.is_same(old)
    };
    match number {
        0 => old.device == new.device,
        1 => with(&|entry| entry.point.clone_from(&new.point)),
        2 => old.fstype == new.fstype,
        3 => with(&|entry| entry.options.clone_from(&new.options)),
        4 => old.freq == new.freq,
        _ => old.passno == new.passno,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(point: &str) -> Entry {
        Entry {
            device: "/dev/sdb1".to_owned(),
            point: point.to_owned(),
            fstype: "ext4".to_owned(),
            options: vec!["noatime".to_owned()],
            freq: 0,
            passno: 2,
        }
    }

    #[test]
    fn an_entry_changes_in_its_place_and_every_other_byte_stays() {
        let new = entry("/mnt/a b");
        for (before, after) in [
            ("", "/dev/sdb1 /mnt/a\\040b ext4 noatime 0 2\n"),
            ("# c\nx /y z\n", "# c\nx /y z\n/dev/sdb1 /mnt/a\\040b ext4 noatime 0 2\n"),
            ("x /y z", "x /y z\n/dev/sdb1 /mnt/a\\040b ext4 noatime 0 2\n"),
            (
                "UUID=1\t/mnt/a\\040b/   ext4\tdefaults 0 0 # mine\n",
                "/dev/sdb1\t/mnt/a\\040b/   ext4\tnoatime 0 2 # mine\n",
            ),
            ("/dev/sdb1 /mnt/a\\040b ext4\n", "/dev/sdb1 /mnt/a\\040b ext4 noatime 0 2\n"),
            ("/dev/sdb1 /mnt/a\\040b xfs noatime 0 2", "/dev/sdb1 /mnt/a\\040b ext4 noatime 0 2"),
            ("a /mnt/a\\040b b c\nq /q q\nd /mnt/a\\040b e f\n", "/dev/sdb1 /mnt/a\\040b ext4 noatime 0 2\nq /q q\n"),
            ("#/dev/x /mnt/a\\040b xfs\n", "#/dev/x /mnt/a\\040b xfs\n/dev/sdb1 /mnt/a\\040b ext4 noatime 0 2\n"),
        ] {
            let changed = with(before, Which::Point("/mnt/a b"), Some(&new));
            assert_eq!(changed, after, "{before:?}");
            let found = entries(&changed, Which::Point("/mnt/a b"));
            assert!(found.len() == 1 && found[0].is_same(&new), "{found:?}");
        }
    }

    #[test]
    fn an_entry_without_the_last_fields_stays_without_them() {
        let new = Entry { freq: 0, passno: 0, options: Vec::new(), ..entry("/a") };
        assert_eq!(
            with("x /a ext4\n", Which::Point("/a"), Some(&new)),
            "/dev/sdb1 /a ext4 defaults 0 0\n".replace(" defaults 0 0", "")
        );
        assert_eq!(with("x /a ext4\n", Which::Point("/a"), None), "");
    }

    #[test]
    fn a_swap_device_is_known_by_itself() {
        let text = "/dev/a none swap sw 0 0\n/dev/b swap swap pri=1\n";
        assert_eq!(entries(text, Which::Swap("/dev/b"))[0].options, ["pri=1"]);
        assert_eq!(with(text, Which::Swap("/dev/a"), None), "/dev/b swap swap pri=1\n");
        assert!(entries(text, Which::Point("none")).is_empty());
        let new = Entry { point: String::new(), fstype: SWAP.to_owned(), device: "/c".to_owned(), ..entry("") };
        assert_eq!(with("", Which::Swap("/c"), Some(&new)), "/c none swap noatime 0 2\n");
    }

    #[test]
    fn the_order_of_options_does_not_count() {
        let of = |line: &str| Entry::of(line).unwrap();
        assert!(of("a /b c x,y").is_same(&of("a /b/ c defaults,y,x 0 0")));
        assert!(!of("a /b c x,y").is_same(&of("a /b c x")));
    }

    fn texts() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("/dev/x /a ext4 ro 0 0"),
            Just("UUID=1 /a ext4"),
            Just("proc /proc proc"),
            Just("/a"),
            Just("# c"),
            Just("\n"),
            Just("\n"),
            Just(" "),
            Just("\\040"),
        ];
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn what_is_changed_is_as_declared_and_all_else_stays(text in texts()) {
            let (which, new) = (Which::Point("/a"), entry("/a"));
            let changed = with(&text, which, Some(&new));
            let found = entries(&changed, which);
            prop_assert!(found.len() == 1 && found[0].is_same(&new));
            prop_assert_eq!(with(&changed, which, Some(&new)), changed.clone());
            let others = |text: &str| -> Vec<String> {
                let all = text.lines().filter(|line| !Entry::of(line).is_some_and(|entry| entry.is(which)));
                all.map(str::to_owned).collect()
            };
            prop_assert_eq!(others(&changed), others(&text));
            prop_assert!(entries(&with(&text, which, None), which).is_empty());
            let was = was(&text, which);
            let back = restored(&changed, which, &was);
            prop_assert_eq!(lines(&back, which), lines(&text, which));
            prop_assert_eq!(others(&back), others(&text));
            if was.lines.len() < 2 {
                prop_assert_eq!(&back, &text);
                prop_assert_eq!(restored(&with(&text, which, None), which, &was), text);
            }
        }

        #[test]
        fn a_field_is_read_as_it_was_written(field in "[ -~\t\u{e9}]{1,12}") {
            prop_assert_eq!(unescape(&escape(&field)), field);
        }
    }
}
