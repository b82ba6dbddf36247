//! The function under the attribute.
//!
//! Its body stays tokens: it is moved, not understood.

use proc_macro2::{Group, Span, TokenStream, TokenTree};
use quote::{ToTokens as _, format_ident, quote};
use syn::parse::{Parse, ParseStream};
use syn::{
    Attribute, Error, FnArg, Ident, Pat, ReceiverKind, Result, Signature, Token, Visibility,
};

pub(crate) struct Function {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) signature: Signature,
    pub(crate) body: Group,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        if !is_function(input) {
            return Err(input.error("#[observe] goes on a function"));
        }
        let signature: Signature = input.parse()?;
        if input.peek(Token![;]) {
            let text = "#[observe] needs a body; put it on the functions that implement this one";
            return Err(Error::new_spanned(&signature, text));
        }
        let body = match input.parse()? {
            TokenTree::Group(body) => body,
            other => {
                return Err(Error::new_spanned(
                    other,
                    "expected the body of the function",
                ));
            }
        };
        if let Some(constant) = &signature.constness {
            let text = "#[observe] cannot stand on a `const fn`: a constant is not recorded";
            return Err(Error::new_spanned(constant, text));
        }
        Ok(Self {
            attributes,
            visibility,
            signature,
            body,
        })
    }
}

impl Function {
    /// Checks that these are names of arguments.
    pub(crate) fn must_have(&self, names: &[Ident]) -> Result<()> {
        for name in names {
            let known = self.signature.inputs.iter().any(|argument| match argument {
                FnArg::Typed(typed) => matches!(&*typed.pat, Pat::Ident(own) if own.ident == *name),
                FnArg::Receiver(_) => false,
            });
            if !known {
                let text = format!("`{}` has no argument `{name}`", self.signature.ident);
                return Err(Error::new(name.span(), text));
            }
        }
        Ok(())
    }

    /// Statements that bind the arguments anew where the body runs, so that they are dropped there,
    /// in the order of any function. Patterns move from the signature into the statements.
    pub(crate) fn rebind(&mut self) -> TokenStream {
        let mut statements = TokenStream::new();
        for (index, argument) in self.signature.inputs.iter_mut().enumerate() {
            match argument {
                FnArg::Receiver(receiver) => {
                    if !matches!(receiver.kind, ReceiverKind::Reference(..)) {
                        // Taken along whole, also where only a part of it is used.
                        let this = &receiver.self_token;
                        statements.extend(quote! { let _ = &#this; });
                    }
                }
                FnArg::Typed(typed) => {
                    let conditions = typed.attrs.iter().filter(|a| a.path().is_ident("cfg"));
                    let conditions: TokenStream = conditions.map(|a| a.to_token_stream()).collect();
                    if let Pat::Ident(pattern) = &mut *typed.pat
                        && pattern.by_ref.is_none()
                        && pattern.subpat.is_none()
                    {
                        let (mutability, name) = (pattern.mutability.take(), &pattern.ident);
                        statements.extend(quote! { #conditions let #mutability #name = #name; });
                    } else {
                        let name = format_ident!("__opik_{index}", span = Span::mixed_site());
                        let pattern = std::mem::replace(&mut *typed.pat, syn::parse_quote!(#name));
                        statements.extend(quote! {
                            #conditions let #name = #name;
                            #conditions let #pattern = #name;
                        });
                    }
                }
            }
        }
        statements
    }
}

/// Whether there is an `fn` before the first braces or semicolon.
fn is_function(input: ParseStream<'_>) -> bool {
    input
        .fork()
        .step(|cursor| {
            let mut rest = *cursor;
            while let Some((token, next)) = rest.token_tree() {
                match token {
                    TokenTree::Ident(word) if word == "fn" => return Ok((true, next)),
                    TokenTree::Ident(_) | TokenTree::Literal(_) => rest = next,
                    _ => break,
                }
            }
            Ok((false, rest))
        })
        .unwrap_or_default()
}
