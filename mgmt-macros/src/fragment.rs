//! An argument that a `macro_rules` passes on as a fragment, such as `$kind:literal` or `$type:ty`, arrives in an
//! invisible group. These functions take it out of the group.

use syn::{Expr, ExprLit, Lit, LitStr, Type};

/// The expression without its group.
pub(crate) fn value_of(mut value: Expr) -> Expr {
    while let Expr::Group(group) = value {
        value = *group.expr;
    }
    value
}

/// The type without its group.
pub(crate) fn type_of(mut ty: Type) -> Type {
    while let Type::Group(group) = ty {
        ty = *group.elem;
    }
    ty
}

/// The string literal that an expression consists of; `None` for any other expression.
pub(crate) fn text_of(mut value: &Expr) -> Option<&LitStr> {
    while let Expr::Group(group) = value {
        value = &group.expr;
    }
    match value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text),
        _ => None,
    }
}
