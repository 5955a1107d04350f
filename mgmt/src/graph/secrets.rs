//! A secret that a resource receives among others leaves it only as a secret.

use std::collections::HashMap;

use crate::graph::config::GraphConfig;
use crate::graph::problem::Problem;
use crate::resource::Join;

/// Checks that a resource that receives a secret among named values sends what it makes of them only as a secret.
pub(super) fn check_secrets(config: &GraphConfig, problems: &mut Vec<Problem>) {
    let output = |from: u32, port: u8| &config.vertices[from as usize].resource.spec().outputs[usize::from(port)];
    let id = |place: u32| config.vertices[place as usize].id();
    let mut secrets: HashMap<u32, String> = HashMap::new();
    for link in config.links.iter().filter(|link| matches!(link.wire.join, Join::Named(_))) {
        let secret = link.sources.iter().find(|(from, port)| output(*from, *port).secret);
        if let Some((from, port)) = secret {
            secrets.insert(link.to, format!("`{}` of {}", output(*from, *port).name, id(*from)));
        }
    }
    for link in config.links.iter().filter(|_| !secrets.is_empty()) {
        let shown = |(from, port): &&(u32, u8)| secrets.contains_key(from) && !output(*from, *port).secret;
        if let Some((from, port)) = link.sources.iter().find(shown) {
            let field = config.vertices[link.to as usize].resource.spec().fields[usize::from(link.field)].name;
            let spec = config.vertices[*from as usize].resource.spec();
            let kept = spec.outputs.iter().find(|output| output.secret);
            let remedy = kept.map_or(String::new(), |kept| format!(": receive `{}`, which keeps it", kept.name));
            let message = format!(
                "`{field}` of {} receives `{}` of {}, which is made of a secret, {}{remedy}",
                id(link.to),
                output(*from, *port).name,
                id(*from),
                secrets[from]
            );
            problems.push(Problem::new(message, link.wire.origin.clone()));
        }
    }
}
