//! The state delta in the pickled `actions` of an ADK event, read without running anything.
//!
//! Pickle is a program for a small machine that can call any function of Python; whoever can write to
//! the table could make Python's own reader run code. This reader knows the instructions that build
//! values and no others, and takes every object for its dictionary. What it does not know ends the
//! reading; the event is then shown without its state delta.

use opik_core::session::State;
use serde_json::{Map, Value};

/// More than any event needs; a pickle that wants more is not read.
const MOST_VALUES: usize = 100_000;
/// As deep as `serde_json` reads.
const DEEPEST: usize = 100;

/// A value on the machine's stack.
#[derive(Clone)]
enum Item {
    Mark,
    Value(Value),
    /// A container in `Machine::made`: pickle fills it after it was put on the stack or in the memo.
    Made(usize),
    /// Something that has no JSON form: a class, a set.
    Other,
}

enum Made {
    Map(Vec<(Item, Item)>),
    List(Vec<Item>),
}

struct Machine<'a> {
    rest: &'a [u8],
    stack: Vec<Item>,
    memo: Vec<Item>,
    made: Vec<Made>,
    steps: usize,
}

/// The `state_delta` of pickled `EventActions`; `None` when there is none or it cannot be read.
pub(crate) fn state_delta(pickle: &[u8]) -> Option<State> {
    let mut machine = Machine {
        rest: pickle,
        stack: Vec::new(),
        memo: Vec::new(),
        made: Vec::new(),
        steps: 0,
    };
    let top = machine.run()?;
    let actions = machine.json(&top, 0)?;
    // A pydantic model pickles its fields under `__dict__`; a plain dictionary is taken as it is.
    let fields = actions.get("__dict__").unwrap_or(&actions);
    match fields.get("state_delta") {
        Some(Value::Object(delta)) => Some(delta.clone()),
        _ => None,
    }
}

impl Machine<'_> {
    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn number<const N: usize>(&mut self) -> Option<usize> {
        let mut bytes = [0; 8];
        bytes.get_mut(..N)?.copy_from_slice(self.take(N)?);
        usize::try_from(u64::from_le_bytes(bytes)).ok()
    }

    fn text(&mut self, length: usize) -> Option<()> {
        let text = std::str::from_utf8(self.take(length)?).ok()?.to_owned();
        self.stack.push(Item::Value(Value::from(text)));
        Some(())
    }

    fn make(&mut self, made: Made) {
        self.stack.push(Item::Made(self.made.len()));
        self.made.push(made);
    }

    /// The items above the last mark, which goes too.
    fn above_mark(&mut self) -> Option<Vec<Item>> {
        let mark = self
            .stack
            .iter()
            .rposition(|item| matches!(item, Item::Mark))?;
        let items = self.stack.split_off(mark + 1);
        self.stack.pop();
        Some(items)
    }

    fn set(&mut self, items: Vec<Item>) -> Option<()> {
        let Some(Item::Made(index)) = self.stack.last() else {
            return Some(());
        };
        if let Made::Map(map) = self.made.get_mut(*index)? {
            let mut items = items.into_iter();
            while let (Some(key), Some(value)) = (items.next(), items.next()) {
                map.push((key, value));
            }
        }
        Some(())
    }

    fn append(&mut self, items: Vec<Item>) -> Option<()> {
        let Some(Item::Made(index)) = self.stack.last() else {
            return Some(());
        };
        if let Made::List(list) = self.made.get_mut(*index)? {
            list.extend(items);
        }
        Some(())
    }

    fn remembered(&mut self, index: usize) -> Option<()> {
        self.stack.push(self.memo.get(index)?.clone());
        Some(())
    }

    fn run(&mut self) -> Option<Item> {
        loop {
            self.steps += 1;
            if self.steps > MOST_VALUES {
                return None;
            }
            match *self.take(1)?.first()? {
                // PROTO and FRAME: what follows them is of no interest.
                0x80 => drop(self.take(1)?),
                0x95 => drop(self.take(8)?),
                b'.' => return self.stack.pop(),
                b'(' => self.stack.push(Item::Mark),
                b'0' => drop(self.stack.pop()?),
                b'N' => self.stack.push(Item::Value(Value::Null)),
                0x88 => self.stack.push(Item::Value(Value::Bool(true))),
                0x89 => self.stack.push(Item::Value(Value::Bool(false))),
                b'K' => {
                    let number = self.number::<1>()?;
                    self.stack.push(Item::Value(Value::from(number)));
                }
                b'M' => {
                    let number = self.number::<2>()?;
                    self.stack.push(Item::Value(Value::from(number)));
                }
                b'J' => {
                    let bytes: [u8; 4] = self.take(4)?.try_into().ok()?;
                    let number = i32::from_le_bytes(bytes);
                    self.stack.push(Item::Value(Value::from(number)));
                }
                0x8a => self.long()?,
                b'G' => {
                    let bytes: [u8; 8] = self.take(8)?.try_into().ok()?;
                    let number = f64::from_be_bytes(bytes);
                    self.stack.push(Item::Value(Value::from(number)));
                }
                0x8c => {
                    let length = self.number::<1>()?;
                    self.text(length)?;
                }
                b'X' => {
                    let length = self.number::<4>()?;
                    self.text(length)?;
                }
                0x8d => {
                    let length = self.number::<8>()?;
                    self.text(length)?;
                }
                0x94 => {
                    let top = self.stack.last()?.clone();
                    self.memo.push(top);
                }
                b'h' => {
                    let index = self.number::<1>()?;
                    self.remembered(index)?;
                }
                b'j' => {
                    let index = self.number::<4>()?;
                    self.remembered(index)?;
                }
                b'}' => self.make(Made::Map(Vec::new())),
                b']' => self.make(Made::List(Vec::new())),
                b')' => self.make(Made::List(Vec::new())),
                size @ 0x85..=0x87 => self.tuple(usize::from(size - 0x84))?,
                b't' => drop(self.above_mark().map(|_| self.stack.push(Item::Other))?),
                0x8f => self.stack.push(Item::Other),
                // ADDITEMS of a set.
                0x90 => drop(self.above_mark()?),
                b'u' => {
                    let items = self.above_mark()?;
                    self.set(items)?;
                }
                b's' => {
                    let (value, key) = (self.stack.pop()?, self.stack.pop()?);
                    self.set(vec![key, value])?;
                }
                b'e' => {
                    let items = self.above_mark()?;
                    self.append(items)?;
                }
                b'a' => {
                    let item = self.stack.pop()?;
                    self.append(vec![item])?;
                }
                // STACK_GLOBAL: the name of a class is looked at by nobody.
                0x93 => {
                    self.stack.pop()?;
                    self.stack.pop()?;
                    self.stack.push(Item::Other);
                }
                // NEWOBJ: class and arguments become an empty object.
                0x81 => {
                    self.stack.pop()?;
                    self.stack.pop()?;
                    self.make(Made::Map(Vec::new()));
                }
                // BUILD: the object gets its dictionary.
                b'b' => self.build()?,
                _ => return None,
            }
        }
    }

    /// LONG1: an integer of so many bytes; those that fit.
    fn long(&mut self) -> Option<()> {
        let length = self.number::<1>()?;
        let bytes = self.take(length)?;
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        wide.get_mut(..length)?.copy_from_slice(bytes);
        let number = i64::from_le_bytes(wide);
        self.stack.push(Item::Value(Value::from(number)));
        Some(())
    }

    /// Tuples of one to three come without a mark. What they hold is never a state delta.
    fn tuple(&mut self, size: usize) -> Option<()> {
        let below = self.stack.len().checked_sub(size)?;
        self.stack.truncate(below);
        self.stack.push(Item::Other);
        Some(())
    }

    fn build(&mut self) -> Option<()> {
        let state = self.stack.pop()?;
        let (Item::Made(from), Some(Item::Made(to))) = (state, self.stack.last()) else {
            return Some(());
        };
        let entries = match self.made.get(from)? {
            Made::Map(entries) => entries.clone(),
            Made::List(_) => return Some(()),
        };
        if let Made::Map(map) = self.made.get_mut(*to)? {
            map.extend(entries);
        }
        Some(())
    }

    fn json(&mut self, item: &Item, depth: usize) -> Option<Value> {
        self.steps += 1;
        if depth > DEEPEST || self.steps > MOST_VALUES {
            return None;
        }
        match item {
            Item::Value(value) => Some(value.clone()),
            Item::Mark | Item::Other => Some(Value::Null),
            Item::Made(index) => match self.made.get(*index)? {
                Made::List(items) => {
                    let items = items.clone();
                    let values = items.iter().map(|item| self.json(item, depth + 1));
                    values.collect::<Option<Vec<Value>>>().map(Value::Array)
                }
                Made::Map(entries) => {
                    let mut map = Map::new();
                    for (key, value) in entries.clone() {
                        if let Item::Value(Value::String(key)) = key {
                            let value = self.json(&value, depth + 1)?;
                            map.insert(key, value);
                        }
                    }
                    Some(Value::Object(map))
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adk::NO_ACTIONS;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits = hex.as_bytes().chunks(2);
        digits
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    /// `EventActions(state_delta={"trace_id": ".."})` as ADK 1.10.0 stored it.
    const SETUP: &str = "80059541010000000000008C1F676F6F676C652E61646B2E6576656E74732E6576656E745F616374696F6E73948C0C4576656E74416374696F6E739493942981947D94288C085F5F646963745F5F947D94288C12736B69705F73756D6D6172697A6174696F6E944E8C0B73746174655F64656C7461947D948C0874726163655F6964948C2430313938656336652D323232322D373030302D383030302D30303030303030303035303094738C0E61727469666163745F64656C7461947D948C117472616E736665725F746F5F6167656E74944E8C08657363616C617465944E8C167265717565737465645F617574685F636F6E66696773947D94758C125F5F707964616E7469635F65787472615F5F944E8C175F5F707964616E7469635F6669656C64735F7365745F5F948F94286808908C145F5F707964616E7469635F707269766174655F5F944E75622E";

    #[test]
    fn what_adk_pickled_is_read() {
        let delta = state_delta(&bytes(SETUP)).unwrap();
        let expected = serde_json::json!({"trace_id": "0198ec6e-2222-7000-8000-000000000500"});
        assert_eq!(Value::Object(delta), expected);
        assert!(state_delta(NO_ACTIONS).is_none());
    }

    #[test]
    fn no_cut_and_no_changed_byte_does_harm() {
        let whole = bytes(SETUP);
        for end in 0..whole.len() {
            assert!(state_delta(&whole[..end]).is_none(), "cut at {end}");
        }
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut changed = whole.clone();
                changed[at] ^= 1 << bit;
                // Whatever comes of it, it ends, and without a panic.
                let _ = state_delta(&changed).map(|delta| delta.len());
            }
        }
    }

    #[test]
    fn defect_18_a_pickle_that_would_call_a_function_is_not_read() {
        // os.system("true"), as `pickle` would call it.
        let mut call = b"\x80\x05\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.".to_vec();
        assert!(state_delta(&call).is_none());
        call.clear();
        // A container that holds itself ends at the depth limit.
        call.extend_from_slice(b"\x80\x05}\x94\x8c\x0bstate_deltah\x00s.");
        assert!(state_delta(&call).is_none());
    }
}
