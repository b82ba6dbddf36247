//! The attribute `#[observe]` of `opik-observe`: a span around every call of a function.
//!
//! Use it through `opik-observe` with the feature `macros`; what it expands to names that crate.

mod expand;
mod function;
mod options;
mod returned;

use proc_macro::TokenStream;

/// Records every call of a function as a span; documented where `opik-observe` exports it.
#[proc_macro_attribute]
pub fn observe(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::observe(options.into(), item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
