//! The embedded world keeps the contract.

use std::sync::Arc;

use crate::resource::World;
use crate::world::Embedded;
use crate::world::tests::contract::{Ground, contract};

impl Ground for Embedded {
    fn begin() -> Embedded {
        Embedded::new()
    }

    fn world(&self) -> Arc<dyn World> {
        Arc::new(self.clone())
    }

    fn cut(&self, host: &str) {
        Embedded::cut(self, host);
    }

    fn mend(&self, host: &str) {
        Embedded::mend(self, host);
    }

    async fn compact(&self) {
        Embedded::compact(self);
    }
}

contract!(Embedded);

#[tokio::test]
async fn a_reader_that_is_too_slow_is_asked_to_take_a_snapshot() {
    use crate::resource::{Keys, Revision, WorldEvent};
    use crate::world::tests::contract::{next, put};
    let world = Embedded::new();
    let member = world.member("web1");
    let mut watch = member.watch(vec![Keys::Below("a/".to_owned())], Revision(0));
    for n in 0..3000 {
        put(&*member, "a/x", &n.to_string()).await;
    }
    let mut seen = 0;
    let lost = loop {
        match next(&mut watch).await {
            WorldEvent::Changed(changes) => {
                seen += 1;
                assert_eq!(changes.revision, Revision(seen), "no gap before the loss is reported");
            }
            WorldEvent::Lost(why) => break why,
        }
    };
    assert!(seen >= 1000 && lost.contains("too slow"), "{seen} {lost}");
}
