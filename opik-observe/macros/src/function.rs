//! The function under the attribute.
//!
//! Its body stays tokens: it is moved, not understood.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::{ToTokens as _, format_ident, quote};
use syn::parse::{Parse, ParseStream};
use syn::{
    AttrStyle, Attribute, Error, FnArg, Ident, Pat, ReceiverKind, Result, Signature, Token, Type,
    Visibility, braced,
};

pub(crate) struct Function {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) signature: Signature,
    /// What stands between the braces.
    pub(crate) body: TokenStream,
    braces: Span,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        if !is_function(input) {
            return Err(input.error("#[observe] goes on a function"));
        }
        let signature: Signature = input.parse()?;
        if input.peek(Token![;]) {
            let text = "#[observe] needs a body; put it on the functions that implement this one";
            return Err(Error::new_spanned(&signature, text));
        }
        let body;
        let braces = braced!(body in input).span.join();
        for mut attribute in body.call(Attribute::parse_inner)? {
            attribute.style = AttrStyle::Outer;
            attributes.push(attribute);
        }
        let body = body.parse()?;
        if let Some(constant) = &signature.constness {
            let text = "#[observe] cannot stand on a `const fn`: a constant is not recorded";
            return Err(Error::new_spanned(constant, text));
        }
        Ok(Self {
            attributes,
            visibility,
            signature,
            body,
            braces,
        })
    }
}

impl Function {
    /// The body as a block. Errors about it are shown where its braces stand; lints about braces
    /// know that a macro wrote these.
    pub(crate) fn block(&self) -> TokenStream {
        let mut block = Group::new(Delimiter::Brace, self.body.clone());
        block.set_span(self.braces.resolved_at(Span::mixed_site()));
        TokenTree::Group(block).into()
    }

    /// The body after the arguments were [bound anew](Self::rebind).
    pub(crate) fn work(&mut self, returned: Option<&Type>) -> TokenStream {
        let rebind = self.rebind();
        let block = self.block();
        match returned {
            // The end of a statement, so that what the last expression borrows from the arguments
            // is let go before they are dropped, as it is in any function.
            Some(returned) if !rebind.is_empty() => quote! {
                #rebind
                #[allow(clippy::diverging_sub_expression)]
                let __value: #returned = #block;
                #[allow(unreachable_code)]
                __value
            },
            _ => quote! { #rebind #block },
        }
    }

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
    fn rebind(&mut self) -> TokenStream {
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
