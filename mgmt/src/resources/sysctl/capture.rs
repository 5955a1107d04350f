//! Declares parameters of the kernel as they are.

use crate::resource::{Capture, Captured, CheckCx, Result};
use crate::resources::sysctl::key::Key;
use crate::resources::sysctl::kind::Sysctl;
use crate::resources::sysctl::live;

impl Capture for Sysctl {
    async fn capture(&self, cx: &CheckCx) -> Result<Vec<Captured<Sysctl>>> {
        let key = Key::of(&self.name);
        let value = cx.look(move |fs, _| live::read(fs, &key)).await?;
        let mut is = self.clone();
        (is.value, is.persist) = (value, false);
        Ok(vec![Captured::new(is).note("the value that it has now; without `persist: false`, also for the next boot")])
    }
}
