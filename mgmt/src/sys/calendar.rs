//! Dates of the Gregorian calendar, as days since the first of January 1970.

const FIRST_YEAR: u32 = 1970;
const LAST_YEAR: u32 = 9999;

fn is_leap(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of_year(year: u32) -> u32 {
    if is_leap(year) { 366 } else { 365 }
}

fn days_of_month(year: u32, month: u32) -> u32 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The number of a day, given as year (1970 to 9999), month and day; `None` if there is no such day.
pub fn day_of_date(year: u32, month: u32, day: u32) -> Option<u32> {
    let is_date = (FIRST_YEAR..=LAST_YEAR).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_of_month(year, month)).contains(&day);
    let years = || (FIRST_YEAR..year).map(days_of_year).sum::<u32>();
    let months = || (1..month).map(|month| days_of_month(year, month)).sum::<u32>();
    is_date.then(|| years() + months() + day - 1)
}

/// The number of a day that is written as `YYYY-MM-DD`; `None` if it is not.
pub fn day_of_text(text: &str) -> Option<u32> {
    let is_written_so = text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse().ok();
    if is_written_so { day_of_date(number(0..4)?, number(5..7)?, number(8..10)?) } else { None }
}

/// A day as `YYYY-MM-DD`. Days after the year 9999 are written as `day N`.
pub fn text_of_day(day: u32) -> String {
    let (mut year, mut left) = (FIRST_YEAR, day);
    while year <= LAST_YEAR && left >= days_of_year(year) {
        left -= days_of_year(year);
        year += 1;
    }
    if year > LAST_YEAR {
        return format!("day {day}");
    }
    let mut month = 1;
    while left >= days_of_month(year, month) {
        left -= days_of_month(year, month);
        month += 1;
    }
    format!("{year:04}-{month:02}-{:02}", left + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_the_numbers_that_other_programs_give_them() {
        for (text, day) in [
            ("1970-01-01", 0),
            ("1972-02-29", 789),
            ("2000-03-01", 11017),
            ("2030-01-02", 21916),
            ("2100-03-01", 47541),
            ("9999-12-31", 2_932_896),
        ] {
            assert_eq!((day_of_text(text), text_of_day(day)), (Some(day), text.to_owned()), "{text}");
        }
        assert_eq!(text_of_day(2_932_897), "day 2932897");
    }

    #[test]
    fn every_day_is_read_as_it_is_written() {
        for day in (0..200_000).step_by(17) {
            assert_eq!(day_of_text(&text_of_day(day)), Some(day));
        }
    }

    #[test]
    fn what_is_no_date_has_no_number() {
        for text in ["", "never", "2030-1-2", "2023-02-29", "2100-02-29", "2030-13-01", "2030-00-01", "1969-12-31"] {
            assert_eq!(day_of_text(text), None, "{text}");
        }
        for text in ["2030-01-00", "2030-04-31", "+030-01-01", "2030-01-02 ", "2030/01/02", "203é-01-0"] {
            assert_eq!(day_of_text(text), None, "{text}");
        }
    }
}
