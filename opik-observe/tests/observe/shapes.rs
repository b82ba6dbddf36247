//! Every shape of function that the attribute may stand on.

use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;

use opik_observe::observe;

use super::{Place, error, name, run};

type Failed = std::num::ParseIntError;

#[derive(Debug, Default, Clone, PartialEq)]
struct Basket {
    items: Vec<String>,
    spare: String,
}

impl Basket {
    #[observe]
    fn first(&self) -> Option<&str> {
        self.items.first().map(String::as_str)
    }

    #[observe]
    fn first_mut(&mut self, fallback: i32) -> Result<&mut String, i32> {
        self.items.first_mut().ok_or(fallback)
    }

    #[observe]
    async fn last_mut<'a>(&'a mut self, other: &'a mut String) -> Result<&'a mut String, ()> {
        if self.items.is_empty() {
            return Ok(other);
        }
        self.items.last_mut().ok_or(())
    }

    #[observe]
    fn into_spare(self) -> Result<String, Failed> {
        Ok(self.spare)
    }

    #[observe]
    async fn filled(mut self, with: &str) -> Self {
        self.items.push(with.to_owned());
        self
    }

    #[observe]
    fn boxed(self: Box<Self>) -> Result<usize, Failed> {
        Ok(self.items.len())
    }

    #[observe]
    fn named<const N: usize, T>(values: [T; N]) -> Result<Self, Failed>
    where
        T: Clone + Display,
    {
        let items = values.iter().map(ToString::to_string).collect();
        Ok(Self {
            items,
            ..Self::default()
        })
    }
}

#[test]
fn methods_of_every_receiver() {
    let place = Place::new();
    let mut basket = Basket::named([1, 2]).unwrap();
    assert_eq!(basket.first(), Some("1"));
    basket.first_mut(0).unwrap().push('0');
    run(basket.last_mut(&mut String::new())).unwrap().push('0');
    let basket = run(basket.filled("30"));
    assert_eq!(basket.items, ["10", "20", "30"]);
    assert_eq!(Box::new(basket.clone()).boxed(), Ok(3));
    assert_eq!(basket.into_spare(), Ok(String::new()));
    assert_eq!(Basket::default().first_mut(7), Err(7));
    assert_eq!(place.spans().len(), 8);
}

#[observe]
fn longer<'a>(one: &'a str, other: &'a str) -> Result<&'a str, Failed> {
    Ok(if one.len() > other.len() { one } else { other })
}

#[observe]
fn numbers(up_to: u32) -> impl Iterator<Item = u32> + Clone {
    0..up_to
}

#[observe]
fn numbers_or_not(up_to: Option<u32>) -> Result<impl Iterator<Item = u32>, &'static str> {
    Ok(0..up_to.ok_or("none")?)
}

#[observe]
async fn sum(numbers: impl IntoIterator<Item = u32>) -> impl Display + Send {
    numbers.into_iter().sum::<u32>()
}

#[observe]
fn patterns((one, mut two): (u32, u32), [three, ..]: [u32; 2], _: u32) -> Result<u32, Failed> {
    two += 1;
    Ok(one + two + three)
}

#[observe(input(mutable))]
async fn patterns_async((one, _): (u32, String), mut mutable: u32, _unused: &str) -> u32 {
    mutable += one;
    mutable
}

#[observe]
fn early(stop: bool) -> Result<Vec<u32>, Failed> {
    if stop {
        return Ok(Vec::new());
    }
    let list = (0..2).map(|_| "1".parse()).collect::<Result<_, _>>()?;
    Ok(list)
}

#[observe]
async fn inferred(text: &str) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    if text.is_empty() {
        return Ok(Default::default());
    }
    let list = text
        .split(' ')
        .map(str::parse)
        .collect::<Result<_, Failed>>()?;
    Ok(list)
}

#[observe]
async fn nothing() {}

#[observe]
fn r#match() -> std::io::Result<()> {
    Ok(())
}

/// Its name ends in `Result`, but it is none.
#[derive(Debug, PartialEq)]
struct SearchResult(u32);

#[observe]
fn search() -> SearchResult {
    SearchResult(1)
}

#[test]
fn functions_of_every_signature() {
    let place = Place::new();
    assert_eq!(longer("one", "three"), Ok("three"));
    assert_eq!(numbers(3).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(numbers_or_not(Some(2)).unwrap().count(), 2);
    assert_eq!(numbers_or_not(None).err(), Some("none"));
    assert_eq!(run(sum([1, 2])).to_string(), "3");
    assert_eq!(patterns((1, 2), [3, 4], 5), Ok(7));
    assert_eq!(run(patterns_async((1, String::new()), 2, "")), 3);
    assert_eq!((early(true), early(false)), (Ok(vec![]), Ok(vec![1, 1])));
    assert_eq!(run(inferred("1 2")).unwrap(), [1, 2]);
    assert!(run(inferred("")).unwrap().is_empty() && run(inferred("x")).is_err());
    run(nothing());
    r#match().unwrap();
    assert_eq!(search(), SearchResult(1));
    let spans = place.spans();
    let names: Vec<_> = spans.iter().map(name).collect();
    assert_eq!((names.len(), names[names.len() - 2]), (15, "match"));
    let failed = spans.iter().filter(|span| span.error_info.is_some());
    assert_eq!(
        failed.map(name).collect::<Vec<_>>(),
        ["numbers_or_not", "inferred"]
    );
}

#[async_trait::async_trait]
trait Answers {
    async fn answer(&mut self, question: &str, times: u32) -> Result<String, Failed>;

    /// A default body is a body.
    #[observe]
    async fn greet(&self) -> String
    where
        Self: Sync,
    {
        "hello".to_owned()
    }
}

struct Echo(u32);

#[async_trait::async_trait]
impl Answers for Echo {
    #[observe(name = "echo", input(question, times), output)]
    async fn answer(&mut self, question: &str, times: u32) -> Result<String, Failed> {
        self.0 += times;
        let _: u32 = question.parse()?;
        Ok(question.repeat(usize::try_from(self.0).unwrap_or(0)))
    }
}

#[test]
fn functions_of_async_trait_are_recorded_when_they_run() {
    let place = Place::new();
    let mut echo = Echo(0);
    drop(echo.answer("1", 9));
    assert_eq!(run(echo.answer("1", 2)).unwrap(), "11");
    assert!(run(echo.answer("x", 1)).is_err());
    assert_eq!(run(echo.greet()), "hello");
    let spans = place.spans();
    assert_eq!(
        spans.iter().map(name).collect::<Vec<_>>(),
        ["echo", "echo", "greet"]
    );
    assert_eq!(
        super::json(spans[0].input.as_ref()),
        serde_json::json!({ "question": "1", "times": 2 })
    );
    assert_eq!(
        super::json(spans[0].output.as_ref()),
        serde_json::json!({ "output": "11" })
    );
    assert_eq!(error(&spans[1]).unwrap().0, "ParseIntError");
}

#[observe]
fn by_hand(text: &str) -> Pin<Box<dyn Future<Output = Result<u32, Failed>> + Send + '_>> {
    let text = text.trim();
    Box::pin(async move { text.parse() })
}

#[observe]
fn as_impl(text: &str) -> impl Future<Output = Result<u32, Failed>> {
    async move { Ok(text.parse::<u32>()? + 1) }
}

#[observe]
fn ready(number: u32) -> std::future::Ready<u32> {
    std::future::ready(number)
}

#[test]
fn functions_that_return_a_future_are_recorded_when_it_runs() {
    let place = Place::new();
    drop((by_hand("1"), as_impl("1")));
    assert_eq!((run(by_hand(" 7 ")), run(as_impl("7"))), (Ok(7), Ok(8)));
    assert!(run(by_hand("x")).is_err() && run(as_impl("x")).is_err());
    assert_eq!(run(ready(1)), 1);
    let spans = place.spans();
    let names: Vec<_> = spans.iter().map(name).collect();
    assert_eq!(names, ["by_hand", "as_impl", "by_hand", "as_impl", "ready"]);
    assert_eq!(error(&spans[0]), None);
    assert_eq!(error(&spans[2]).unwrap().0, "ParseIntError");
    assert_eq!(error(&spans[3]).unwrap().0, "ParseIntError");
}

#[test]
fn functions_from_a_macro_are_functions() {
    macro_rules! doubles {
        ($name:ident, $number:ty) => {
            #[observe]
            fn $name(number: $number) -> Result<$number, Failed> {
                Ok(number * 2)
            }
        };
    }
    doubles!(double, u8);
    let place = Place::new();
    assert_eq!(double(4), Ok(8));
    assert_eq!(name(&place.span()), "double");
}

/// Bodies in one line, which must not become braces that the compiler finds unnecessary.
#[rustfmt::skip]
mod one_line {
    use std::sync::Mutex;

    use super::{Failed, observe};

    #[observe]
    pub(super) fn plain() -> u32 { 1 }

    #[observe]
    pub(super) fn fallible(number: u32) -> Result<u32, Failed> { Ok(number) }

    #[observe]
    pub(super) async fn later(number: u32) -> u32 { number }

    /// What the last expression holds is borrowed from an argument.
    #[observe]
    pub(super) fn locked(list: Mutex<Vec<u32>>) -> Result<usize, ()> { list.lock().map(|list| list.len()).map_err(drop) }

    /// The type of the last expression follows from the signature.
    #[observe]
    pub(super) fn coerced(number: u32) -> Result<Box<dyn Fn() -> u32>, ()> { Ok(Box::new(move || number)) }

    #[observe]
    pub(super) fn panics(number: u32) -> Result<u32, Failed> { panic!("{number}") }
}

/// With an attribute in its body.
#[observe]
fn inner_attribute(number: u32) -> Result<u32, Failed> {
    #![expect(unused_variables, reason = "what is tested")]
    let unused = number;
    Ok(number)
}

#[test]
fn bodies_of_every_kind() {
    let place = Place::new();
    assert_eq!((one_line::plain(), run(one_line::later(1))), (1, 1));
    assert_eq!(one_line::fallible(1), Ok(1));
    assert_eq!(one_line::locked(vec![1].into()), Ok(1));
    assert_eq!(one_line::coerced(7).map(|number| number()), Ok(7));
    assert!(std::panic::catch_unwind(|| one_line::panics(1)).is_err());
    assert_eq!(inner_attribute(1), Ok(1));
    assert_eq!(place.spans().len(), 7);
}
