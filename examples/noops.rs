//! A bare integer N makes a chain of N noops: how long until converged, how many bytes a node.

use std::time::Instant;

use mgmt::prelude::*;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let count: usize = match std::env::args().nth(1).map(|text| text.parse()) {
        None => 1000,
        Some(Ok(count)) => count,
        Some(Err(error)) => return Err(mgmt::Error::from(error).context("usage: noops [N]")),
    };
    let mut g = Graph::new("noops");
    let mut last = None;
    for n in 0..count {
        let noop = Noop::new(format!("noop{n}"));
        last = Some(g.add(match &last {
            Some(last) => noop.after(last),
            None => noop,
        }));
    }
    let config = g.finish()?;
    let start = Instant::now();
    let engine = mgmt::Engine::builder().graph(config).start().await?;
    engine.converged().await?;
    let took = start.elapsed();
    let memory = engine.status().await?.memory;
    let each =
        memory.checked_div(count).map_or_else(|| format!("{memory} bytes"), |each| format!("{each} bytes a node"));
    println!("{count} nodes converged in {:.3} s, {each}", took.as_secs_f64());
    engine.stop().await?;
    Ok(())
}
