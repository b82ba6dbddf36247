//! From the function to the function with a span around it.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::{Block, Expr, Ident, LitStr, Result, Stmt, Type};

use crate::function::Function;
use crate::options::Options;
use crate::returned;

pub(crate) fn observe(options: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let options: Options = syn::parse2(options)?;
    let mut function: Function = syn::parse2(item)?;
    if let Some(names) = &options.input {
        function.must_have(names)?;
    }
    let body = if function.signature.asyncness.is_some() {
        let returned = returned::type_of(&function.signature.output);
        let work = function.work(returned.as_ref());
        in_future(
            &options,
            &function.signature.ident,
            returned.as_ref(),
            &work,
        )
    } else if let Some((before, future)) = trailing_future(&function) {
        let returned = returned::future_output(&function.signature.output);
        let work = future.work();
        let ident = &function.signature.ident;
        let observed = in_future(&options, ident, returned.as_ref(), &work);
        let future = future.with(&observed);
        quote! { #(#before)* #future }
    } else {
        in_call(&options, &mut function)
    };
    let Function {
        attributes,
        visibility,
        signature,
        ..
    } = function;
    Ok(quote! { #(#attributes)* #visibility #signature { #body } })
}

/// An expression of the span.
fn span(options: &Options, function: &Ident) -> TokenStream {
    let name = options.name.clone().unwrap_or_else(|| {
        let name = function.unraw().to_string();
        LitStr::new(&name, function.span())
    });
    let kind = match &options.kind {
        Some(kind) => quote! { #kind },
        None => quote! { General },
    };
    let kind = quote! { ::opik_observe::__macro::SpanType::#kind };
    match &options.recorder {
        Some(recorder) => quote! { ::opik_observe::__macro::span_of(&(#recorder), #name, #kind) },
        None => quote! { ::opik_observe::__macro::span(#name, #kind) },
    }
}

/// Statements that begin the call.
fn begin(options: &Options, function: &Ident, call: &TokenStream, told: bool) -> TokenStream {
    let span = span(options, function);
    let input = options.input.as_ref().map(|names| {
        let list = names.iter().rev().fold(quote! { () }, |rest, name| {
            let key = name.unraw().to_string();
            quote! { ::opik_observe::__macro::Argument(#key, &#name, #rest) }
        });
        quote! {
            if let ::core::option::Option::Some(__span) = __call.recording() {
                __span.input(&#list);
            }
        }
    });
    let mutability = (told || input.is_some()).then(|| quote! { mut });
    quote! {
        let #mutability __call = ::opik_observe::__macro::#call::begin(#span);
        #input
    }
}

/// Statements that tell the span what `__result` is.
fn tell(options: &Options) -> TokenStream {
    let output = options.output.map(|at| {
        // What is wrong with the type is shown at the option.
        let output = quote_spanned! { at=> output(__value) };
        quote! {
            if let ::core::option::Option::Some(__value) = __value {
                __span.#output;
            }
        }
    });
    let value = if output.is_some() {
        quote! { __value }
    } else {
        quote! { _ }
    };
    quote! {
        if let ::core::option::Option::Some(__span) = __call.recording() {
            #[allow(unused_imports)]
            use ::opik_observe::__macro::{
                ErrorByBox as _, ErrorByCause as _, ErrorByName as _, ErrorByText as _,
                ReturnsResult as _, ReturnsValue as _,
            };
            let (#value, __error) = (&::opik_observe::__macro::Returned(&__result)).parts();
            if let ::core::option::Option::Some(__error) = __error {
                (&&&&::opik_observe::__macro::Failure(__error)).tell(__span);
            }
            #output
        }
    }
}

/// The body of a function that is not `async`.
fn in_call(options: &Options, function: &mut Function) -> TokenStream {
    let returned = returned::type_of(&function.signature.output)
        .filter(|returned| options.output.is_some() || returned::is_result(returned));
    let call = quote! { SyncCall };
    let begin = begin(
        options,
        &function.signature.ident,
        &call,
        returned.is_some(),
    );
    let Some(returned) = returned else {
        let block = function.block();
        return quote! { #begin #block };
    };
    let work = function.work(Some(&returned));
    let tell = tell(options);
    quote! {
        #begin
        let __result = ::opik_observe::__macro::call(move || -> #returned { #work });
        #tell
        __result
    }
}

/// The body of an `async` function or block around `work`.
fn in_future(
    options: &Options,
    function: &Ident,
    returned: Option<&Type>,
    work: &TokenStream,
) -> TokenStream {
    let begin = begin(options, function, &quote! { AsyncCall }, true);
    // Never taken; it tells the compiler the type of the block, as a signature does.
    let typed = returned.map(|returned| {
        quote! {
            if let ::core::option::Option::Some(__never) = ::opik_observe::__macro::never::<#returned>() {
                return __never;
            }
        }
    });
    let tell = returned.map(|_| tell(options));
    quote! {
        #begin
        let __result = __call.run(async move { #typed #work }).await;
        #tell
        __call.done();
        __result
    }
}

/// The last expression of a function that returns a future.
struct TrailingFuture {
    expression: Expr,
}

impl TrailingFuture {
    fn block(expression: &mut Expr) -> Option<&mut Block> {
        match expression {
            Expr::Async(block) if block.capture.is_some() => Some(&mut block.block),
            // `Box::pin(…)`, by whatever path.
            Expr::Call(call) if call.args.len() == 1 => {
                let Expr::Path(function) = &*call.func else {
                    return None;
                };
                let last = function.path.segments.last()?;
                if last.ident != "pin" {
                    return None;
                }
                call.args.first_mut().and_then(Self::block)
            }
            _ => None,
        }
    }

    /// The statements of the block.
    fn work(&self) -> TokenStream {
        let mut expression = self.expression.clone();
        let statements = Self::block(&mut expression).map(|block| &block.stmts);
        let statements = statements.into_iter().flatten();
        quote! { #(#statements)* }
    }

    /// The expression with another block.
    fn with(mut self, observed: &TokenStream) -> Expr {
        if let Some(block) = Self::block(&mut self.expression) {
            *block = syn::parse_quote!({ #observed });
        }
        self.expression
    }
}

/// The future that a function ends with, and the statements before it.
fn trailing_future(function: &Function) -> Option<(Vec<Stmt>, TrailingFuture)> {
    returns_future(function).then_some(())?;
    let mut block: Block = syn::parse2(function.block()).ok()?;
    let Some(Stmt::Expr(mut expression, None)) = block.stmts.pop() else {
        return None;
    };
    TrailingFuture::block(&mut expression)?;
    Some((block.stmts, TrailingFuture { expression }))
}

/// Whether it is worth a look: the return type is an `impl Trait` or a path such as `Pin<…>`.
fn returns_future(function: &Function) -> bool {
    match &function.signature.output {
        syn::ReturnType::Type(_, returned) => {
            matches!(**returned, Type::ImplTrait(_) | Type::Path(_))
        }
        syn::ReturnType::Default => false,
    }
}
