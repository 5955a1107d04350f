//! The kind `group`.

use crate::resource::Declare as _;
use crate::resources::account::files::Lines;
use crate::resources::{Group, GroupBuilder};

const GROUPS: &str = "root:x:0:\nadm:x:4:ann\napp:x:1000:\n";
const USERS: &str = "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n";

/// The command that repairs the group, or why there is none.
fn tool(group: GroupBuilder) -> String {
    match group.finish().0.tool_for(&Lines::parse(GROUPS), &Lines::parse(USERS)) {
        Ok(None) => "nothing".to_owned(),
        Ok(Some(tool)) => [&[tool.program.to_owned()], tool.args.as_slice()].concat().join(" "),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_tools_get_exact_arguments() {
    for (group, wanted) in [
        (Group::new("new"), "groupadd new"),
        (Group::new("new").system(true), "groupadd --system new"),
        (Group::new("new").gid(70u32), "groupadd --gid 70 new"),
        (Group::new("new").gid(4u32).allowduplicategid(true), "groupadd --gid 4 --non-unique new"),
        (Group::new("adm"), "nothing"),
        (Group::new("adm").gid(4u32), "nothing"),
        (Group::new("adm").gid(70u32), "groupmod --gid 70 adm"),
        (Group::new("adm").gid(0u32).allowduplicategid(true), "groupmod --gid 0 --non-unique adm"),
        (Group::new("adm").absent(), "groupdel adm"),
        (Group::new("new").absent(), "nothing"),
    ] {
        assert_eq!(tool(group), wanted);
    }
}

#[test]
fn what_is_in_the_way_is_named() {
    let taken = "the gid 4 is that of the group `adm`: give another `gid`, or set `allowduplicategid`";
    assert_eq!(tool(Group::new("new").gid(4u32)), taken);
    assert_eq!(tool(Group::new("app").gid(4u32)), taken);
    let main = "`app` is the main group of the user `ann`: remove that user, or give it another group, first";
    assert_eq!(tool(Group::new("app").absent()), main);
}
