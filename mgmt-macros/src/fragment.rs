//! What a `macro_rules` hands on as a fragment, such as `$kind:literal` or `$type:ty`, arrives in an invisible group.
//! Here is what the group holds.

use syn::{Expr, ExprLit, Lit, LitStr, Type};

/// The expression itself.
pub(crate) fn value_of(mut value: Expr) -> Expr {
    while let Expr::Group(group) = value {
        value = *group.expr;
    }
    value
}

/// The type itself.
pub(crate) fn type_of(mut ty: Type) -> Type {
    while let Type::Group(group) = ty {
        ty = *group.elem;
    }
    ty
}

/// The text that an expression is, if it is one.
pub(crate) fn text_of(mut value: &Expr) -> Option<&LitStr> {
    while let Expr::Group(group) = value {
        value = &group.expr;
    }
    match value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text),
        _ => None,
    }
}
