//! A number N makes a chain of N noops, and prints the time to convergence and the bytes per node.
//! With `--every SECONDS` an equal graph is swapped in again and again, which changes nothing: no resource is checked.

use std::time::Instant;

use mgmt::prelude::*;
use mgmt::runtime::EventKind;

fn chain(count: usize) -> Result<GraphConfig> {
    let mut g = Graph::new("noops");
    let mut last = None;
    for n in 0..count {
        let noop = Noop::new(format!("noop{n}"));
        last = Some(g.add(match &last {
            Some(last) => noop.after(last),
            None => noop,
        }));
    }
    Ok(g.finish()?)
}

const USAGE: &str = "usage: noops [N] [--every SECONDS]";

/// The number of nodes, and the pause between two swaps; `None`: only print the usage.
fn arguments() -> Result<Option<(usize, Option<Duration>)>> {
    let (mut count, mut every) = (1000, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--help" || argument == "-h" {
            return Ok(None);
        }
        if argument == "--every" {
            let seconds = arguments.next().unwrap_or_default().parse::<f64>()?;
            every = Some(Duration::try_from_secs_f64(seconds)?);
        } else {
            count = argument.parse()?;
        }
    }
    Ok(Some((count, every)))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let Some((count, every)) = arguments().map_err(|error| error.context(USAGE))? else {
        println!("{USAGE}");
        return Ok(());
    };
    let config = chain(count)?;
    let start = Instant::now();
    let engine = mgmt::Engine::builder().graph(config).start().await?;
    engine.converged().await?;
    let took = start.elapsed();
    let memory = engine.status().await?.memory;
    let each =
        memory.checked_div(count).map_or_else(|| format!("{memory} bytes"), |each| format!("{each} bytes a node"));
    println!("{count} nodes converged in {:.3} s, {each}", took.as_secs_f64());

    let mut events = engine.events();
    while let Some(every) = every {
        // Made again each time, as a front end would do: an equal graph, but not the same one.
        let again = chain(count)?;
        let start = Instant::now();
        engine.swap(again).await?;
        let took = start.elapsed().as_secs_f64();
        tokio::time::sleep(every).await;
        // Everything since: the swap itself, and what it made the engine do.
        let (mut swap, mut others) = (String::new(), 0);
        while let Some(event) = events.try_next() {
            match event.kind {
                EventKind::Swapped { .. } => swap = event.kind.to_string(),
                _ => others += 1,
            }
        }
        println!("{swap}, in {took:.3} s; {others} other events");
    }
    engine.stop().await?;
    Ok(())
}
