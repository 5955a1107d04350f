//! The way from a door to its counterpart on a simulated host; a build without tests has none.

/// Returns this value if the thread is on a simulated host, which gets the given name.
macro_rules! if_simulated {
    ($host:ident => $value:expr) => {
        #[cfg(any(test, feature = "testing"))]
        if let Some($host) = $crate::sys::simulated::here() {
            return $value;
        }
    };
}

pub(crate) use if_simulated;
