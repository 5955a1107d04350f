//! Empty: the root package exists so that cargo finds `examples/` and `tests/` at the root of the workspace.
