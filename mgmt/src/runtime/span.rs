//! Spans for `tracing`: log lines written while a resource is checked, applied, refreshed or watched carry the name of
//! the resource.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tracing::Span;

use crate::resource::AnyResource;

/// The span of one operation of a resource. Without a subscriber it costs one read of an atomic.
pub(crate) fn span(event: &'static str, resource: &dyn AnyResource) -> Span {
    if resource.spec().quiet {
        return Span::none();
    }
    tracing::info_span!(target: "mgmt", "resource", kind = resource.spec().kind, name = resource.name(), event)
}

/// A span of its own, not a child of the current one.
pub(crate) fn apart(event: &'static str, resource: &dyn AnyResource) -> Span {
    if resource.spec().quiet {
        return Span::none();
    }
    let (kind, name) = (resource.spec().kind, resource.name());
    tracing::info_span!(target: "mgmt", parent: None, "resource", kind, name, event)
}

/// Polls a future within a span.
pub(crate) fn poll_in<F: Future + ?Sized>(span: &Span, future: Pin<&mut F>, cx: &mut Context<'_>) -> Poll<F::Output> {
    let _entered = span.enter();
    future.poll(cx)
}
