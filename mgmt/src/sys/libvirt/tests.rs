//! XML, URIs, and the test hypervisor of the library, which needs no server.

use super::*;

#[test]
fn xml_is_read_and_written_and_no_text_breaks_it() {
    let text = "<?xml version='1.0'?>\n<!-- c --><domain type='kvm'>\n  <name>a &amp; b &lt;&#x2764;&gt;</name>\n  <e a='1&quot;'/>\n</domain>";
    let read = Element::parse(text).unwrap();
    assert_eq!(read.child("name").unwrap().text(), "a & b <❤>");
    assert_eq!(read.child("e").unwrap().attribute("a"), Some("1\""));
    assert_eq!(Element::parse(&read.to_string()), Ok(read.clone()));
    for odd in ["it's", "\"q\"", "<x/>", "&amp;", "]]>", " blank ", "line\nbreak", "ünï 💾"] {
        let made = Element::new("a").with("b", odd).holding(Element::new("c").containing(odd));
        let again = Element::parse(&made.to_string()).unwrap();
        assert_eq!(again.child("c").unwrap().text(), odd);
        // A line break in an attribute is a blank for each reader of XML.
        if !odd.contains('\n') {
            assert_eq!(again.attribute("b"), Some(odd), "{made}");
        }
    }
    for wrong in ["", "x", "<a>", "<a></b>", "<a b></a>", "<a>&nope;</a>", &"<a>".repeat(1000)] {
        assert!(Element::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn an_element_is_changed_in_place() {
    let mut element = Element::parse("<d><m>1</m><x n='1'/><x n='2'/></d>").unwrap();
    element.put(Element::new("m").containing(2));
    element.put(Element::new("o"));
    element.remove(|child| child.attribute("n") == Some("1"));
    element.child_mut("x").set("n", 3);
    element.child_mut("x").unset("none");
    assert_eq!(element, Element::parse("<d><m>2</m><x n='3'/><o/></d>").unwrap());
    assert_eq!(element.at(&["x"]).unwrap().attribute("n"), Some("3"));
    assert_eq!(element.at(&["x", "y"]), None);
}

#[test]
fn uris_are_told_apart() {
    for (uri, driver, is_local, sockets) in [
        ("qemu:///system", Driver::Qemu, true, 2),
        ("qemu+unix:///system?socket=/x/sock", Driver::Qemu, true, 1),
        ("qemu+ssh://root@host:22/system", Driver::Qemu, false, 0),
        ("qemu+tls:///system", Driver::Qemu, false, 0),
        ("lxc:///", Driver::Lxc, true, 2),
        ("test:///default", Driver::Test, true, 0),
    ] {
        let place = Place::of(uri).unwrap();
        assert_eq!((place.driver, place.is_local, place.sockets().len()), (driver, is_local, sockets), "{uri}");
    }
    for (uri, why) in [
        ("qemu", "has no `://`"),
        ("", "has no `://`"),
        ("vbox:///session", "is of the hypervisor `vbox`"),
        ("qemu+pigeon:///system", "has the unknown transport `pigeon`"),
        ("qemu+unix://host/system", "names a host"),
        ("qemu://", "has no path"),
        ("qemu:///sys tem", "has blanks"),
    ] {
        assert!(Place::of(uri).unwrap_err().to_string().starts_with(why), "{uri}");
    }
}

#[test]
fn a_login_is_never_shown() {
    assert_eq!(format!("{:?}", Login::new("admin", "1234")), "Login { username: \"admin\", .. }");
}

#[tokio::test]
async fn domains_of_the_test_hypervisor_are_seen_changed_and_heard() {
    let libvirt = Libvirt::open("test:///default", None).unwrap();
    let found = libvirt.domain("test").unwrap().unwrap();
    assert_eq!((found.state, found.is_persistent, found.id), (DomainState::Running, true, Some(1)));
    assert_eq!(libvirt.domain("none").unwrap(), None);
    let mut events = libvirt.subscribe("test").unwrap();
    libvirt.act("test", &Action::Suspend).unwrap();
    assert!(events.changed().await);
    assert_eq!(libvirt.domain("test").unwrap().unwrap().state, DomainState::Paused(Pause::Asked));
    let error = libvirt.act("none", &Action::Resume).unwrap_err();
    assert!(error.is_no_domain(), "{error}");
    // Another connection to the same hypervisor has its events too, and outlives this one.
    let other = Libvirt::open("test:///default", None).unwrap();
    let mut heard = other.subscribe("test").unwrap();
    libvirt.act("test", &Action::Destroy).unwrap();
    assert!(heard.changed().await);
    drop(libvirt);
    assert_eq!(other.domain("test").unwrap().unwrap().state, DomainState::Shutoff);
    other.act("test", &Action::Start(false)).unwrap();
}

#[test]
fn a_hypervisor_that_is_not_there_is_waited_for() {
    use crate::sys::obstacle::ObstacleKind;
    let error = Libvirt::open("qemu+unix:///system?socket=/nowhere/sock", None).unwrap_err();
    let (kind, path) = error.obstacle().unwrap();
    assert_eq!((kind, path.unwrap().to_str()), (ObstacleKind::Missing, Some("/nowhere/sock")), "{error}");
    let words = "no connection to libvirt at qemu+unix:///system?socket=/nowhere/sock: ";
    assert!(error.to_string().starts_with(words), "{error}");
    assert!(error.to_string().contains("; install and start it"), "{error}");
}
