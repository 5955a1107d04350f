//! Makes the graph that runs here of one that exports and collects.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::graph::{
    Exchanged, GraphConfig, Offers, Prepared, Problems, alone, check_exchange, resolve, spoilers, wanted_keys,
};
use crate::resource::READ_MAX;
use crate::runtime::exchange::exporting::add_exporting;
use crate::runtime::prepare::Preparing;

impl Preparing {
    /// The graph, ready for this host, with what it collects now.
    ///
    /// # Errors
    /// Everything that is wrong as far as the graph shows; or else each place of this host that it owns twice, or that
    /// belongs to the engine. What other hosts export is never an error.
    pub(crate) async fn here(&self, declared: GraphConfig) -> Result<Prepared, Problems> {
        if !declared.is_shared() {
            return self.resolved(declared, Vec::new()).await;
        }
        self.read(&declared).await;
        let offers = self.offers(&declared).await;
        self.with_offers(Arc::new(declared), &offers).await
    }

    /// The same, ready for a host that is not looked at, without what other hosts export.
    ///
    /// # Errors
    /// Everything that is wrong as far as the graph shows.
    pub(crate) async fn anywhere(&self, declared: GraphConfig) -> Result<Prepared, Problems> {
        let resolution = alone(declared, &self.settings, &self.site.host)?;
        self.unseen(resolution.config, resolution.warnings).await
    }

    /// What is known of the exports of hosts, with those of this graph. In noop it exports nothing: of this host, only
    /// what it exported before is collected.
    pub(super) async fn offers(&self, declared: &GraphConfig) -> Offers {
        let offers = self.site.offers().await;
        if self.settings.is_noop() {
            return offers;
        }
        offers.with_own(&self.site.host, declared, |export| self.site.publications.known(export))
    }

    /// The graph, ready for this host, with what it collects of these offers.
    pub(super) async fn with_offers(&self, declared: Arc<GraphConfig>, offers: &Offers) -> Result<Prepared, Problems> {
        check_exchange(&declared)?;
        let (mut spoilt, exchange) = (BTreeMap::new(), self.site.publications.next_graph());
        loop {
            let mut resolution = resolve(&declared, offers, &spoilt);
            if self.site.runs && !self.settings.is_noop() {
                let host = (self.site.host.as_str(), exchange, self.site.member.is_some());
                add_exporting(&mut resolution.config, &declared, &self.site.publications, host);
            }
            match self.resolved(resolution.config, resolution.warnings).await {
                Ok(prepared) => {
                    return Ok(prepared.of(Exchanged { declared, taken: resolution.taken, number: exchange }));
                }
                Err(problems) => {
                    let before = spoilt.len();
                    spoilt.extend(spoilers(&problems));
                    if spoilt.len() == before {
                        return Err(problems);
                    }
                }
            }
        }
    }

    /// Reads what the graph collects.
    async fn read(&self, declared: &GraphConfig) {
        let Some(member) = &self.site.member else { return };
        let keys = wanted_keys(&self.site.host, &declared.collects);
        // What the graph was made of has waited for the world in vain just now.
        if keys.is_empty() || self.site.view.is_away() {
            return;
        }
        let read = tokio::time::timeout(READ_MAX, member.get(keys.clone())).await;
        match read
            .map_err(|_| format!("no answer within {READ_MAX:?}"))
            .and_then(|read| read.map_err(|e| e.to_string()))
        {
            Ok(snapshot) => self.site.learn(keys, snapshot),
            // That the world is away, or does not permit it, is reported where it is followed.
            Err(why) => tracing::info!(
                target: "mgmt",
                "what other hosts export can't be read: {why}; the graph runs with what is known of them, and follows",
            ),
        }
    }
}
