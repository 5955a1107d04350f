//! A strict reader of Prometheus' text format (version 0.0.4): anything that a real server would refuse or misread is
//! an error here.

use std::collections::{BTreeMap, BTreeSet};

/// The value of each series, by its name with labels as written.
pub(crate) type Series = BTreeMap<String, f64>;

/// Reads a page, or returns what is wrong with it.
pub(crate) fn read(page: &str) -> Result<Series, String> {
    if !page.ends_with('\n') {
        return Err("the last line does not end".to_owned());
    }
    let (mut series, mut done) = (Series::new(), BTreeSet::new());
    let (mut name, mut sort, mut helped) = (String::new(), String::new(), String::new());
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (of, text) = rest.split_once(' ').ok_or(format!("no text: {line}"))?;
            if !is_name(of) || text.is_empty() || !done.insert(of.to_owned()) {
                return Err(format!("a bad name, or told of twice: {line}"));
            }
            helped = of.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (of, what) = rest.split_once(' ').ok_or(format!("no type: {line}"))?;
            if of != helped || !["gauge", "counter", "histogram"].contains(&what) {
                return Err(format!("not of the metric above, or no type: {line}"));
            }
            (name, sort) = (of.to_owned(), what.to_owned());
        } else {
            let (of, labels, value) = sample(line)?;
            let suffixes: &[&str] = if sort == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            if name.is_empty() || !suffixes.iter().any(|suffix| of == format!("{name}{suffix}")) {
                return Err(format!("not of the metric above, {name}: {line}"));
            }
            if sort == "counter" && !(of.ends_with("_total") && value >= 0.0) {
                return Err(format!("no counter: {line}"));
            }
            let key = line[..line.rfind(' ').unwrap_or(line.len())].to_owned();
            if labels.contains_key("le") != of.ends_with("_bucket") || series.insert(key, value).is_some() {
                return Err(format!("labelled wrongly, or there twice: {line}"));
            }
        }
    }
    histograms(page)?;
    Ok(series)
}

fn is_name(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// One line: name, labels, value.
fn sample(line: &str) -> Result<(&str, BTreeMap<String, String>, f64), String> {
    let wrong = |what: &str| format!("{what}: {line}");
    let end = line.find(['{', ' ']).ok_or_else(|| wrong("no value"))?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"").ok_or_else(|| wrong("a label without a value"))?;
            let (mut text, mut letters) = (String::new(), after.char_indices());
            let close = loop {
                match letters.next() {
                    Some((place, '"')) => break place,
                    Some((_, '\\')) => match letters.next() {
                        Some((_, c @ ('\\' | '"'))) => text.push(c),
                        Some((_, 'n')) => text.push('\n'),
                        _ => return Err(wrong("no such escape")),
                    },
                    Some((_, c)) => text.push(c),
                    None => return Err(wrong("a label that does not end")),
                }
            };
            if !is_name(label) || labels.insert(label.to_owned(), text).is_some() {
                return Err(wrong("a bad label, or there twice"));
            }
            rest = &after[close + 1..];
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
        }
        rest = rest.strip_prefix('}').ok_or_else(|| wrong("labels that do not end"))?;
    }
    let value = rest.strip_prefix(' ').and_then(|value| value.parse().ok()).ok_or_else(|| wrong("no number"))?;
    if is_name(name) { Ok((name, labels, value)) } else { Err(wrong("a bad name")) }
}

#[derive(Default)]
struct Histogram {
    buckets: Vec<(f64, f64)>,
    sum: Option<f64>,
    count: Option<f64>,
}

/// The buckets of each histogram rise to its count.
fn histograms(page: &str) -> Result<(), String> {
    let mut found: BTreeMap<(String, BTreeMap<String, String>), Histogram> = BTreeMap::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (name, mut labels, value) = sample(line)?;
        let end = labels.remove("le");
        let of = |suffix: &str| name.strip_suffix(suffix).map(|base| (base.to_owned(), labels.clone()));
        if let (Some(end), Some(key)) = (&end, of("_bucket")) {
            let end =
                if end == "+Inf" { f64::INFINITY } else { end.parse().map_err(|_| format!("no bound: {line}"))? };
            found.entry(key).or_default().buckets.push((end, value));
        } else if let Some(key) = of("_sum") {
            found.entry(key).or_default().sum = Some(value);
        } else if let Some(key) = of("_count") {
            found.entry(key).or_default().count = Some(value);
        }
    }
    for (key, Histogram { buckets, sum, count }) in found {
        let rises = buckets.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1);
        let whole = buckets.last().is_some_and(|(end, all)| end.is_infinite() && Some(*all) == count);
        if !rises || !whole || sum.is_none_or(|sum| sum < 0.0) {
            return Err(format!("no histogram: {key:?}: {buckets:?}, {sum:?}, {count:?}"));
        }
    }
    Ok(())
}

#[test]
fn the_reader_refuses_what_is_wrong() {
    let good = "# HELP a_total All.\n# TYPE a_total counter\na_total{k=\"x\\\"y\"} 1\na_total 2\n";
    assert_eq!(read(good).unwrap()["a_total"], 2.0);
    let head = "# HELP h H.\n# TYPE h histogram\n";
    let histogram = format!("{head}h_bucket{{le=\"1\"}} 1\nh_bucket{{le=\"+Inf\"}} 2\nh_sum 3\nh_count 2\n");
    assert!(read(&histogram).is_ok());
    for wrong in [
        good.trim_end().to_owned(),
        good.replace("counter", "number"),
        good.replace("a_total 2", "b_total 2"),
        good.replace("a_total 2", "a_total{k=\"x\\\"y\"} 2"),
        good.replace("a_total 2", "a_total two"),
        good.replace("\\\"", "\""),
        format!("{good}{good}"),
        histogram.replace("} 1", "} 3"),
        histogram.replace("h_count 2", "h_count 3"),
        histogram.replace("h_sum 3\n", ""),
        histogram.replace("+Inf", "2"),
    ] {
        assert!(read(&wrong).is_err(), "{wrong}");
    }
}
