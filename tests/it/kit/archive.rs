//! Archives for tests.

use tar::{Builder, Header};

/// An archive with the file `sub/file`, which holds this text.
pub fn archive(text: &str) -> Vec<u8> {
    let mut archive = Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(text.len() as u64);
    archive.append_data(&mut header, "sub/file", text.as_bytes()).unwrap();
    archive.into_inner().unwrap()
}
