//! Random graphs of all built-in kinds become data and the same graphs again.

use std::time::Duration;

use mgmt::gapi::builtin_kinds;
use mgmt::graph::{GraphData, validate};
use mgmt::prelude::*;
use mgmt::resources::Value;
use proptest::prelude::*;

/// What one random resource is made of.
#[derive(Clone, Debug)]
struct Seed {
    kind: usize,
    /// Which of its fields are set.
    set: u32,
    /// What they are set to.
    text: String,
    number: u32,
    /// To which of the resources before it it has edges and sends.
    others: Vec<(usize, bool)>,
}

fn seeds() -> impl Strategy<Value = Vec<Seed>> {
    let text = proptest::string::string_regex("[a-zA-Z0-9 ö→\"\\\\\\n]{0,12}").unwrap();
    let others = proptest::collection::vec((any::<usize>(), any::<bool>()), 0..3);
    let seed = (any::<usize>(), any::<u32>(), text, 1..5000_u32, others)
        .prop_map(|(kind, set, text, number, others)| Seed { kind, set, text, number, others });
    proptest::collection::vec(seed, 0..12)
}

/// Edges to handles of any kind, and what may be received from them.
#[derive(Default)]
struct Before {
    noops: Vec<NoopHandle>,
    execs: Vec<ExecHandle>,
    passwords: Vec<PasswordHandle>,
}

fn add(g: &mut Graph, n: usize, seed: &Seed, before: &mut Before) {
    fn common<D: Declare>(mut declared: D, seed: &Seed, before: &Before) -> D {
        for (at, notify) in &seed.others {
            let Some(other) = before.noops.get(at % before.noops.len().max(1)) else { continue };
            declared = if *notify { declared.subscribe(other) } else { declared.after(other) };
        }
        let number = u64::from(seed.number);
        let is = |bit: u32| seed.set >> bit & 1 == 1;
        declared = if is(16) { declared.noop(true).retry(-1) } else { declared };
        declared =
            if is(17) { declared.delay(Duration::from_millis(number)).limit(number as f64 / 8.0) } else { declared };
        declared =
            if is(18) { declared.poll(Duration::from_millis(number)).sema(format!("s{number}:2")) } else { declared };
        if is(19) {
            declared.timeout(Duration::from_secs(number)).backoff(Duration::from_secs(number))
        } else {
            declared
        }
    }
    let is = |bit: u32| seed.set >> bit & 1 == 1;
    let (text, number) = (seed.text.clone(), seed.number);
    let name = format!("{n} {text}");
    let path = format!("/random/{n}");
    let pick = |count: usize| seed.others.first().map(|(at, _)| at % count.max(1));
    match seed.kind % 9 {
        0 => {
            let noop = Noop::new(&name);
            let noop = if is(0) { noop.comment(&text) } else { noop };
            before.noops.push(g.add(common(noop, seed, before)));
        }
        1 => {
            let exec = Exec::new(&name).cmd(format!("echo {number}"));
            let exec = if is(0) { exec.args([&text, "x"]) } else { exec };
            let exec = if is(1) { exec.creates(&path).cwd("/") } else { exec };
            let exec = if is(2) { exec.env([("A", text.as_str())]) } else { exec };
            let exec = if is(3) { exec.mtimes([&path]) } else { exec };
            before.execs.push(g.add(common(exec, seed, before)));
        }
        2 => {
            let file = File::new(&path);
            let exec = pick(before.execs.len()).and_then(|at| before.execs.get(at));
            let password = pick(before.passwords.len()).and_then(|at| before.passwords.get(at));
            let file = match (exec, password) {
                (Some(exec), _) if is(0) => file.content(exec.stdout()),
                (_, Some(password)) if is(1) => file.content(password.password()),
                _ if is(2) => file.content(vec![0, 255, (number % 256) as u8]),
                _ => file.content(&text),
            };
            // As a text: a number is refused if it looks like a mode written in decimal.
            let file = if is(3) { file.mode(format!("{:04o}", number % 0o1000)).owner(number) } else { file };
            let file = if is(4) { file.force(true).group("root") } else { file };
            g.add(common(file, seed, before));
        }
        3 => {
            let dir = File::new(format!("{path}/")).recurse(is(0)).purge(is(1)).mode("u=rwx,go=rx");
            g.add(common(dir, seed, before));
        }
        4 => {
            let password = Password::new(&name).length(number as usize);
            before.passwords.push(g.add(common(password, seed, before)));
        }
        5 => {
            let msg = Msg::new(&name).body(&text);
            g.add(common(msg, seed, before));
        }
        6 => {
            g.add(common(Timer::new(&name, Duration::from_secs(number.into())), seed, before));
        }
        7 => {
            let value = Value::new(&name);
            g.add(common(if is(0) { value.value(&text) } else { value }, seed, before));
        }
        _ => {
            let served = HttpFile::new(&path).server("s");
            let served = if is(0) { served.data(&text) } else { served.source(&path) };
            g.add(common(served, seed, before));
        }
    }
}

proptest! {
    #[test]
    fn a_random_graph_written_and_read_is_the_same_graph(seeds in seeds()) {
        let mut g = Graph::new("random");
        let mut before = Before::default();
        for (n, seed) in seeds.iter().enumerate() {
            add(&mut g, n, seed, &mut before);
        }
        let config = g.finish().unwrap();
        validate(&config).unwrap();
        let written = serde_json::to_string(&config).unwrap();
        let again = serde_json::from_str::<GraphData>(&written).unwrap().bind(&builtin_kinds()).unwrap();
        validate(&again).unwrap();
        prop_assert_eq!(serde_json::to_string(&again).unwrap(), written);
        for (one, other) in config.vertices.iter().zip(&again.vertices) {
            prop_assert!(one.resource.same(&*other.resource), "{} is another", one.id());
            prop_assert_eq!(one.meta(), other.meta());
        }
        let ends = |config: &GraphConfig| config.edges.iter().map(|edge| (edge.from, edge.to, edge.notify)).collect::<Vec<_>>();
        prop_assert_eq!(ends(&again), ends(&config));
        prop_assert_eq!(again.links.len(), config.links.len());
    }
}
