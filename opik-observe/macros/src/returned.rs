//! What a function returns, as far as its signature says.

use syn::visit_mut::{VisitMut, visit_type_mut};
use syn::{
    GenericArgument, PathArguments, PathSegment, ReturnType, Type, TypeParamBound, parse_quote,
};

/// The type that is returned, with `_` for what has no name; `None` for `!`.
pub(crate) fn type_of(output: &ReturnType) -> Option<Type> {
    match output {
        ReturnType::Default => Some(parse_quote!(())),
        ReturnType::Type(_, never) if matches!(**never, Type::Never(_)) => None,
        ReturnType::Type(_, returned) => Some(without_impl(returned)),
    }
}

/// Whether the type is written as something that ends in `Result`.
pub(crate) fn is_result(returned: &Type) -> bool {
    last_segment(returned).is_some_and(|last| last.ident.to_string().ends_with("Result"))
}

/// What a returned future is ready with: of `impl Future`, of a boxed one and of the usual aliases.
pub(crate) fn future_output(output: &ReturnType) -> Option<Type> {
    let ReturnType::Type(_, returned) = output else {
        return None;
    };
    let mut returned = &**returned;
    while let Some(last) = last_segment(returned) {
        match last.ident.to_string().as_str() {
            "Pin" | "Box" => returned = type_arguments(last).next()?,
            "BoxFuture" | "LocalBoxFuture" => {
                return type_arguments(last).last().map(without_impl);
            }
            _ => return None,
        }
    }
    let bounds = match returned {
        Type::ImplTrait(future) => &future.bounds,
        Type::TraitObject(future) => &future.bounds,
        _ => return None,
    };
    bounds.iter().find_map(|bound| match bound {
        TypeParamBound::Trait(bound) => bound.path.segments.last().and_then(named_output),
        _ => None,
    })
}

fn named_output(future: &PathSegment) -> Option<Type> {
    let PathArguments::AngleBracketed(arguments) = &future.arguments else {
        return None;
    };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::AssocType(output) if output.ident == "Output" => {
            Some(without_impl(&output.ty))
        }
        _ => None,
    })
}

fn last_segment(written: &Type) -> Option<&PathSegment> {
    match written {
        Type::Path(path) => path.path.segments.last(),
        // A type from the expansion of another macro.
        Type::Group(group) => last_segment(&group.elem),
        Type::Paren(paren) => last_segment(&paren.elem),
        _ => None,
    }
}

fn type_arguments(segment: &PathSegment) -> impl Iterator<Item = &Type> {
    let arguments = match &segment.arguments {
        PathArguments::AngleBracketed(arguments) => Some(arguments.args.iter()),
        _ => None,
    };
    arguments
        .into_iter()
        .flatten()
        .filter_map(|argument| match argument {
            GenericArgument::Type(argument) => Some(argument),
            _ => None,
        })
}

/// `impl Trait` may not be written in a body; there it is inferred.
fn without_impl(written: &Type) -> Type {
    struct Infer;
    impl VisitMut for Infer {
        fn visit_type_mut(&mut self, written: &mut Type) {
            match written {
                Type::ImplTrait(_) => *written = parse_quote!(_),
                _ => visit_type_mut(self, written),
            }
        }
    }
    let mut written = written.clone();
    Infer.visit_type_mut(&mut written);
    written
}
