//! Spans for `tracing`: what is logged while a resource is checked, applied, refreshed or watched carries whose work it is.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tracing::Span;

use crate::resource::AnyResource;

/// The span of one operation of a resource. Where nobody listens it costs one look at an atomic.
pub(crate) fn span(event: &'static str, resource: &dyn AnyResource) -> Span {
    if resource.spec().quiet {
        return Span::none();
    }
    tracing::info_span!(target: "mgmt", "resource", kind = resource.spec().kind, name = resource.name(), event)
}

/// The same, but not as a part of the span that it is made in.
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
