//! The example that people see first: `webserver`, broken in every way that its first lines invite to.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::process::Signal;

use crate::kit::program::{Program, Running, example};

struct Site {
    dir: tempfile::TempDir,
    port: u16,
}

impl Site {
    fn new() -> Site {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Site { dir: tempfile::tempdir().unwrap(), port }
    }

    fn program(&self, args: &str) -> Program {
        let mut program = Program::new(&example("webserver"));
        program.env("PORT", self.port.to_string()).arg("--prefix").arg(self.dir.path()).args(args);
        program
    }

    fn start(&self) -> Running {
        let mut running = self.program("").start();
        running.says(&format!("serving http://127.0.0.1:{}/", self.port));
        running
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("site").join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// What the server answers: its first line, and what it serves.
    fn get(&self, path: &str, login: Option<&str>) -> (String, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let login = login.map(|login| format!("authorization: Basic {}\r\n", base64(login))).unwrap_or_default();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n{login}\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }

    /// The first word of the checksum file.
    fn checksum(&self) -> String {
        self.read("public/index.html.sha256").split(' ').next().unwrap_or_default().to_owned()
    }

    fn is_whole(&self) -> bool {
        let page = self.read("public/index.html");
        let is_file = |name: &str| fs::symlink_metadata(self.path(name)).is_ok_and(|at| at.is_file());
        let mode = |name: &str| fs::metadata(self.path(name)).map_or(0, |at| at.permissions().mode() & 0o777);
        page.ends_with("back room</a>.\n")
            && self.checksum().len() == 64
            && self.read("public/style.css").starts_with("body {")
            && is_file("public/style.css")
            && self.read("public/admin/index.html") == "<h1>Back room</h1>\n"
            && mode("public/index.html") == 0o644
            && mode("private") == 0o700
            && mode("private/admin.password") == 0o600
            && self.read("private/admin.password").len() == 20
    }
}

fn base64(text: &str) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for part in text.as_bytes().chunks(3) {
        let bits = (0..3).fold(0, |bits, n| bits << 8 | u32::from(part.get(n).copied().unwrap_or(0)));
        for n in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * n) & 63) as usize] as char;
            out.push(if n > part.len() { '=' } else { letter });
        }
    }
    out
}

#[test]
fn it_serves_what_it_keeps_and_repairs_whatever_is_broken() {
    let site = Site::new();
    let mut running = site.start();
    assert!(site.is_whole());
    let password = site.read("private/admin.password");
    assert_eq!(site.get("/", None), ("HTTP/1.1 200 OK".into(), site.read("public/index.html")));
    assert_eq!(site.get("/admin/", None).0, "HTTP/1.1 401 Unauthorized");
    assert_eq!(site.get("/admin/", Some("admin:wrong")).0, "HTTP/1.1 401 Unauthorized");
    assert_eq!(site.get("/admin/", Some(&format!("admin:{password}"))).1, "<h1>Back room</h1>\n");

    let style = site.path("public/style.css");
    let elsewhere = site.dir.path().join("elsewhere");
    // In one step: what is gone is made again at once.
    let exchange = |one: &Path, other: &Path| renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
    let root = site.path("");
    let root = Path::new(root.to_str().unwrap().trim_end_matches('/'));
    let breaks: [(&str, &dyn Fn()); 8] = [
        ("deleted", &|| fs::remove_file(&style).unwrap()),
        ("edited", &|| fs::write(&style, "body { color: red }").unwrap()),
        ("chmod", &|| fs::set_permissions(site.path("public/index.html"), fs::Permissions::from_mode(0o600)).unwrap()),
        ("a symlink", &|| {
            let link = site.dir.path().join("away");
            symlink("/etc/passwd", &link).unwrap();
            exchange(&link, &style);
        }),
        ("a directory", &|| {
            fs::create_dir_all(elsewhere.join("deep")).unwrap();
            exchange(&elsewhere, &style);
            fs::remove_file(&elsewhere).unwrap();
        }),
        ("all in it deleted", &|| fs::rename(site.path("public"), site.dir.path().join("public-away")).unwrap()),
        ("all deleted", &|| fs::rename(root, site.dir.path().join("site-away")).unwrap()),
        ("all a symlink", &|| {
            fs::create_dir(&elsewhere).unwrap();
            let link = site.dir.path().join("site-away-too");
            symlink(&elsewhere, &link).unwrap();
            exchange(&link, root);
        }),
    ];
    for (what, break_it) in breaks {
        break_it();
        running.until(what, |_| site.is_whole());
    }
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0, "nothing went through the symlink");
    assert!(!root.is_symlink());
    assert_eq!(site.read("private/admin.password"), password, "who made it still knows it");
    assert_eq!(site.get("/admin/", Some(&format!("admin:{password}"))).0, "HTTP/1.1 200 OK");
    running.signal(Signal::INT);
    let ended = running.wait().code(0);
    assert!(ended.err.contains("public/style.css]: repaired in ") && ended.err.contains("mode: 0600 → 0644"));
    assert!(!ended.err.contains(&password), "the log is no place for secrets");
}

#[test]
fn the_checksum_is_made_once_for_each_change_of_its_source() {
    let site = Site::new();
    let running = site.start();
    let (checksum, log) = (site.checksum(), |ended: &str| ended.matches("exec[checksum]: repaired").count());
    // The page is put back as it was, with a new time: the checksum is made again, once.
    fs::write(site.path("public/index.html"), "mine").unwrap();
    let mut running = running;
    running.until("the page is back", |_| site.is_whole());
    running.until("made again", |running| log(&running.err_so_far()) == 2);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(site.checksum(), checksum);
    running.signal(Signal::INT);
    assert_eq!(log(&running.wait().code(0).err), 2);
}

#[test]
fn a_second_run_has_nothing_to_do_but_to_serve_and_keeps_the_password() {
    let site = Site::new();
    site.program("check").run().code(0).said("webserver: 12 resources, 12 edges (9 automatic): no problems");
    site.program("plan").run().code(2).said("10 to repair, 2 not known yet");
    assert_eq!(fs::read_dir(site.dir.path()).unwrap().count(), 0, "neither makes anything");
    let first = site.program("run --converged-timeout 0").run().code(0);
    assert!(
        first.err.contains(", 12 changed") && !first.err.contains("serving"),
        "it ends, so it does not invite: {first:?}"
    );
    assert!(site.is_whole());
    let password = site.read("private/admin.password");
    let again = site.program("run -t 0").run().code(0).said(", 2 changed");
    assert!(!again.err.contains(" file["), "{}", again.err);
    assert_eq!(site.read("private/admin.password"), password);
    site.program("plan").run().code(2).said("2 to repair, 10 in sync");
    let names = |dir: &Path| {
        let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&site.path("public")), ["admin", "index.html", "index.html.sha256", "style.css"]);
}

#[test]
fn a_taken_port_is_said_and_it_serves_once_the_port_is_free() {
    let site = Site::new();
    let taken = TcpListener::bind(("127.0.0.1", site.port)).unwrap();
    let mut running = site.program("").start();
    running.says(&format!("127.0.0.1:{} is taken by another program: stop that", site.port));
    running.says("(again in 2.0s)");
    assert!(site.is_whole(), "the rest is there");
    drop(taken);
    running.says("serving http://");
    assert_eq!(site.get("/style.css", None).0, "HTTP/1.1 200 OK");
    running.signal(Signal::INT);
    running.wait().code(0);
}
