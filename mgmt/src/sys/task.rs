//! Work that blocks, off the threads that must not.

/// Runs `work` on a thread that may block. If the returned future is dropped, the work goes on to its end.
///
/// # Panics
/// If `work` panics, with its message: the engine catches it as a failure of that resource.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is shutting down: whoever waits is being dropped too.
        Err(_) => std::future::pending().await,
    }
}
