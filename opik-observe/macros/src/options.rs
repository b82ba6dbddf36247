//! What stands between the parentheses of `#[observe(…)]`.

use proc_macro2::Span;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, Ident, LitStr, Result, Token, parenthesized};

const KNOWN: &str = "known are `name`, `kind`, `input`, `output` and `recorder`";
const KINDS: [(&str, &str); 4] = [
    ("general", "General"),
    ("llm", "Llm"),
    ("tool", "Tool"),
    ("guardrail", "Guardrail"),
];

#[derive(Default)]
pub(crate) struct Options {
    pub(crate) name: Option<LitStr>,
    /// Variant of `SpanType`.
    pub(crate) kind: Option<Ident>,
    /// Arguments to record.
    pub(crate) input: Option<Vec<Ident>>,
    /// Where `output` stands.
    pub(crate) output: Option<Span>,
    pub(crate) recorder: Option<Expr>,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut options = Self::default();
        while !input.is_empty() {
            options.option(input)?;
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(options)
    }
}

impl Options {
    fn option(&mut self, input: ParseStream<'_>) -> Result<()> {
        let option: Ident = input.parse()?;
        match option.to_string().as_str() {
            "name" => {
                input.parse::<Token![=]>()?;
                let name = input.parse().map_err(|error| {
                    let text =
                        "the name of a span is a string literal, so that it cannot hold data";
                    Error::new(error.span(), text)
                })?;
                once(&mut self.name, name, &option)
            }
            "kind" => {
                input.parse::<Token![=]>()?;
                let kind = kind(&input.parse()?)?;
                once(&mut self.kind, kind, &option)
            }
            "input" => {
                if !input.peek(syn::token::Paren) {
                    let text = "name the arguments to record, as in `input(question)`";
                    return Err(Error::new(option.span(), text));
                }
                let list;
                parenthesized!(list in input);
                let names = Punctuated::<Ident, Token![,]>::parse_terminated(&list)?;
                once(&mut self.input, names.into_iter().collect(), &option)
            }
            "output" => once(&mut self.output, option.span(), &option),
            "recorder" => {
                input.parse::<Token![=]>()?;
                once(&mut self.recorder, input.parse()?, &option)
            }
            other => {
                let text = format!("unknown option `{other}`; {KNOWN}");
                Err(Error::new(option.span(), text))
            }
        }
    }
}

fn once<T>(place: &mut Option<T>, value: T, option: &Ident) -> Result<()> {
    if place.replace(value).is_some() {
        let text = format!("`{option}` is given twice");
        return Err(Error::new(option.span(), text));
    }
    Ok(())
}

fn kind(word: &Ident) -> Result<Ident> {
    let written = word.to_string();
    let known = KINDS.iter().find(|(kind, _)| *kind == written);
    let (_, variant) = known.ok_or_else(|| {
        let text =
            format!("unknown kind `{written}`; known are `general`, `llm`, `tool` and `guardrail`");
        Error::new(word.span(), text)
    })?;
    Ok(Ident::new(variant, Span::mixed_site()))
}
