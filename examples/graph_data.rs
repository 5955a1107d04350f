//! A graph as data: read (here from JSON), bound to the kinds that it may use, and run by an engine. Any program can
//! make such data: `-- graph --format json` of the other examples prints theirs, and `schema` describes the format.

use std::path::Path;

use mgmt::Engine;
use mgmt::gapi::builtin_kinds;
use mgmt::graph::GraphData;
use mgmt::prelude::*;

/// A kind defined by this program: the data may use it because `bind` gets it among the kinds.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "greeting", unwatched)]
struct Greeting {
    #[resource(name)]
    who: String,
    /// How the line begins.
    #[resource(default = "hello")]
    word: String,
    /// The line.
    #[resource(send)]
    line: String,
}

impl Converge for Greeting {
    type Drift = Change;

    async fn check(&self, cx: &CheckCx) -> Result<Option<Change>> {
        cx.send(Greeting::LINE, format!("{} {}\n", self.word, self.who));
        Ok(None)
    }

    async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
        Ok(())
    }
}

fn data(dir: &Path) -> serde_json::Value {
    let dir = dir.display();
    serde_json::json!({
        "graph": "from data",
        "resources": [
            { "kind": "file", "name": format!("{dir}/"), "fields": { "mode": "0755" } },
            { "kind": "greeting", "name": "world", "fields": { "word": "good morning" }, "origin": "site.json:4" },
            { "kind": "file", "name": format!("{dir}/motd"), "meta": { "poll": 60 }, "origin": "site.json:5" },
        ],
        "edges": [{ "from": format!("file[{dir}/]"), "to": format!("file[{dir}/motd]") }],
        "sends": [{ "from": [["greeting[world]", "line"]], "to": format!("file[{dir}/motd]"), "field": "content" }],
    })
}

#[tokio::main]
async fn main() -> Result<()> {
    let dir = std::env::temp_dir().join(format!("mgmt-graph-data-{}", std::process::id()));
    let kinds = builtin_kinds().with::<Greeting>();

    let read: GraphData = serde_json::from_value(data(&dir))?;
    let engine = Engine::builder().graph(read.bind(&kinds)?).start().await?;
    engine.converged().await?;
    print!("{}", std::fs::read_to_string(dir.join("motd"))?);
    engine.stop().await?;

    // All errors in the data are reported at once, with the places that the data names.
    let mut wrong = data(&dir);
    wrong["resources"][1]["fields"] = serde_json::json!({ "word": 5 });
    wrong["resources"][2]["fields"] = serde_json::json!({ "modes": "0644" });
    let read: GraphData = serde_json::from_value(wrong)?;
    if let Err(problems) = read.bind(&kinds) {
        println!("{}", problems.to_string().replace(&dir.display().to_string(), "DIR"));
    }
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}
