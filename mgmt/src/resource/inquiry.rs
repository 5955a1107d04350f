//! Inquiries: questions about the graph that are asked in batches, each of which may depend on the answers so far.

use std::fmt;
use std::sync::Arc;

use crate::resource::uid::Need;

/// Questions of one resource about the graph. A pass asks for a batch, looks for the resources that each need of the
/// batch means, makes an edge for each that it finds, and answers which needs were met; then it asks for the next
/// batch.
///
/// Kinds that need one thing out of several, or everything of a long list, ask step by step so that an edge to one
/// resource can make others unnecessary. [`ShippedFiles`](crate::resource::ShippedFiles) is such a list.
///
/// ```
/// use mgmt::resource::{Inquiry, Need, Reach, Uid};
///
/// /// The first of these paths that a resource owns.
/// #[derive(Debug)]
/// struct FirstOf(std::vec::IntoIter<&'static str>);
///
/// impl Inquiry for FirstOf {
///     fn next(&mut self) -> Vec<Need> {
///         self.0.next().map(|path| Need::after(Uid::path(path)).reach(Reach::Exact)).into_iter().collect()
///     }
///
///     fn answer(&mut self, met: &[bool]) -> bool {
///         !met[0]
///     }
/// }
///
/// let mut configuration = FirstOf(vec!["/etc/app.conf", "/usr/share/app/app.conf"].into_iter());
/// assert_eq!(configuration.next()[0].uid, Uid::path("/etc/app.conf"));
/// assert!(configuration.answer(&[false]));
/// ```
///
/// A panic becomes a warning that names the resource, and drops the edges of this inquiry, no others. An inquiry that
/// has asked for more than a million things is ended in the same way.
pub trait Inquiry: fmt::Debug + Send {
    /// The next batch of questions. Empty: there are no more.
    fn next(&mut self) -> Vec<Need>;

    /// Takes the answers to the last batch, in its order: whether the graph has a resource that the need means. Returns
    /// whether there may be another batch.
    fn answer(&mut self, met: &[bool]) -> bool;
}

/// A function that begins an [`Inquiry`]. Clones share the function.
#[derive(Clone)]
pub struct Asking(Arc<dyn Fn() -> Box<dyn Inquiry> + Send + Sync>);

impl Asking {
    /// The inquiry that this function returns.
    pub fn of<I: Inquiry + 'static>(begin: impl Fn() -> I + Send + Sync + 'static) -> Asking {
        Asking(Arc::new(move || Box::new(begin())))
    }

    /// Begins the inquiry.
    pub fn begin(&self) -> Box<dyn Inquiry> {
        (self.0)()
    }
}

/// Whether they are clones.
impl PartialEq for Asking {
    fn eq(&self, other: &Asking) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Asking {}

impl fmt::Debug for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asking")
    }
}
