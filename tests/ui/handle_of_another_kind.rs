//! A function wants the handle of a login and gets one of a page.
// expects: expected `LoginHandle`, found `PageHandle`

#[path = "common/kinds.rs"]
mod kinds;

use kinds::*;
use mgmt::prelude::*;

fn login_page(g: &mut Graph, login: LoginHandle) -> PageHandle {
    g.add(Page::new("/login", "Login").token(login.passphrase()))
}

fn main() {
    let mut g = Graph::new("case");
    let front = g.add(Page::new("/", "Front"));
    login_page(&mut g, front);
}
