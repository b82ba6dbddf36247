//! Bytes of a reply to frames: server-sent events, and JSON that comes without any.
//!
//! Read are LF, CRLF and CR as ends of lines, comments, several `data` lines of one event, a byte
//! order mark, and events without the empty line between them. A line that begins with `{` begins
//! JSON that no event holds: older versions of Opik send a chunk in each such line, servers that do
//! not stream the whole reply, in one line or in many. What is not UTF-8 is replaced, as for
//! browsers.

use super::balance::Balance;

/// One event, or one piece of JSON without an event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The event's name, empty where it has none.
    pub(crate) event: String,
    /// Its data.
    pub(crate) data: String,
    /// Whether it was JSON without an event.
    pub(crate) bare: bool,
}

/// An event has more bytes than allowed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// The decoder. It holds at most one event.
#[derive(Debug)]
pub(crate) struct Frames {
    line: Vec<u8>,
    /// The last byte was a CR, so a LF belongs to it.
    after_cr: bool,
    /// No line was read yet.
    begin: bool,
    event: String,
    data: Vec<u8>,
    has_data: bool,
    bare: bool,
    balance: Balance,
    /// Bytes of the data that the balance has seen: most events have one line, for which it is not asked.
    weighed: usize,
    longest: usize,
}

impl Frames {
    /// A decoder of events with at most so many bytes.
    pub(crate) fn new(longest: usize) -> Self {
        Self {
            line: Vec::new(),
            after_cr: false,
            begin: true,
            event: String::new(),
            data: Vec::new(),
            has_data: false,
            bare: false,
            balance: Balance::default(),
            weighed: 0,
            longest,
        }
    }

    /// Reads bytes, cut anywhere.
    pub(crate) fn push(&mut self, mut bytes: &[u8], out: &mut Vec<Frame>) -> Result<(), TooLong> {
        while let Some(&first) = bytes.first() {
            if self.after_cr {
                self.after_cr = false;
                if first == b'\n' {
                    bytes = bytes.get(1..).unwrap_or_default();
                    continue;
                }
            }
            let end = memchr::memchr2(b'\n', b'\r', bytes);
            let part = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
            if self.line.len() + self.data.len() + part.len() > self.longest {
                return Err(TooLong);
            }
            self.line.extend_from_slice(part);
            let Some(end) = end else { return Ok(()) };
            self.after_cr = bytes.get(end) == Some(&b'\r');
            bytes = bytes.get(end + 1..).unwrap_or_default();
            let mut line = std::mem::take(&mut self.line);
            self.line(&line, out);
            line.clear();
            self.line = line;
        }
        Ok(())
    }

    /// Reads what is left when the bytes end. It may be the half of an event.
    pub(crate) fn end(&mut self, out: &mut Vec<Frame>) {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.line(&line, out);
        }
        self.flush(out);
    }

    fn line(&mut self, line: &[u8], out: &mut Vec<Frame>) {
        let line = match line.strip_prefix("\u{feff}".as_bytes()) {
            Some(rest) if self.begin => rest,
            _ => line,
        };
        self.begin = false;
        if self.bare {
            self.data.push(b'\n');
            return self.bare(line, out);
        }
        if line.is_empty() {
            return self.flush(out);
        }
        if line.trim_ascii_start().first() == Some(&b'{') {
            self.flush(out);
            return self.bare(line, out);
        }
        let colon = line.iter().position(|&b| b == b':');
        let (name, value) = match colon {
            Some(colon) => line.split_at(colon),
            None => (line, &b""[..]),
        };
        let value = value.get(1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" => {
                // A server that leaves out the empty line between events.
                if self.has_whole_data() {
                    self.flush(out);
                }
                if self.has_data {
                    self.data.push(b'\n');
                    self.weighed = self.data.len();
                }
                self.has_data = true;
                self.data.extend_from_slice(value);
            }
            b"event" => {
                if self.has_whole_data() {
                    self.flush(out);
                }
                self.event = String::from_utf8_lossy(value).into_owned();
            }
            _ => {}
        }
    }

    /// Whether the data so far is a whole object or list.
    fn has_whole_data(&mut self) -> bool {
        let new = self.data.get(self.weighed..).unwrap_or_default();
        self.balance.feed(new);
        self.weighed = self.data.len();
        self.has_data && self.balance.is_complete()
    }

    /// Reads a line of JSON without an event; several pieces may share it.
    fn bare(&mut self, mut line: &[u8], out: &mut Vec<Frame>) {
        loop {
            if self.data.iter().all(u8::is_ascii_whitespace) {
                line = line.trim_ascii_start();
            }
            if line.is_empty() {
                return;
            }
            (self.bare, self.has_data) = (true, true);
            let Some(end) = self.balance.feed_to_end(line) else {
                self.data.extend_from_slice(line);
                return;
            };
            let (piece, rest) = line.split_at(end);
            self.data.extend_from_slice(piece);
            self.flush(out);
            line = rest;
        }
    }

    fn flush(&mut self, out: &mut Vec<Frame>) {
        let event = std::mem::take(&mut self.event);
        let bare = std::mem::take(&mut self.bare);
        (self.balance, self.weighed) = (Balance::default(), 0);
        if std::mem::take(&mut self.has_data) {
            out.push(Frame {
                event: if bare { String::new() } else { event },
                data: String::from_utf8_lossy(&self.data).into_owned(),
                bare,
            });
        }
        self.data.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames(pieces: &[&[u8]]) -> Vec<Frame> {
        let (mut frames, mut out) = (Frames::new(1_000), Vec::new());
        for piece in pieces {
            frames.push(piece, &mut out).unwrap();
        }
        frames.end(&mut out);
        out
    }

    fn shown(text: &str) -> Vec<String> {
        let frames = frames(&[text.as_bytes()]);
        let shown = frames.iter().map(|frame| {
            let kind = if frame.bare {
                "bare"
            } else {
                frame.event.as_str()
            };
            format!("{kind}|{}", frame.data)
        });
        shown.collect()
    }

    #[test]
    fn events_are_read_in_every_spelling() {
        for (text, expected) in [
            ("data: a\n\ndata:b\n\n", vec!["|a", "|b"]),
            ("data: a\r\n\r\ndata: b\r\n\r\n", vec!["|a", "|b"]),
            ("data: a\r\rdata: b\r\r", vec!["|a", "|b"]),
            ("\u{feff}data: a\n\n", vec!["|a"]),
            (
                ": ping\n\nevent: e\nid: 7\nretry: 5\ndata: a\n\n",
                vec!["e|a"],
            ),
            ("data: a\ndata: b\ndata\n\n", vec!["|a\nb\n"]),
            ("data: {\"a\":\ndata: 1}\n\n", vec!["|{\"a\":\n1}"]),
            (
                "data: {\"a\":1}\ndata: [DONE]\n",
                vec!["|{\"a\":1}", "|[DONE]"],
            ),
            (
                "event: a\ndata: {}\nevent: b\ndata: {}\n",
                vec!["a|{}", "b|{}"],
            ),
            ("event: lost\n\ndata: a\n\n", vec!["|a"]),
            ("data:  two\n\n", vec!["| two"]),
            ("data: no end", vec!["|no end"]),
            ("\n\n:x\n", vec![]),
        ] {
            assert_eq!(shown(text), expected, "{text:?}");
        }
    }

    #[test]
    fn json_without_events_is_read_too() {
        for (text, expected) in [
            (
                "{\"a\":1}\r\n{\"b\":\"}\\\"{\"}\r\n",
                vec!["bare|{\"a\":1}", "bare|{\"b\":\"}\\\"{\"}"],
            ),
            ("{\n  \"a\": 1\n}", vec!["bare|{\n  \"a\": 1\n}"]),
            (
                "  {\"a\":1} {\"b\":2}\n",
                vec!["bare|{\"a\":1}", "bare|{\"b\":2}"],
            ),
            (
                "data: a\n{\"code\":500}\n\ndata: b\n\n",
                vec!["|a", "bare|{\"code\":500}", "|b"],
            ),
            ("{\"a\":", vec!["bare|{\"a\":"]),
        ] {
            assert_eq!(shown(text), expected, "{text:?}");
        }
    }

    #[test]
    fn long_events_are_refused_before_they_are_held() {
        let mut out = Vec::new();
        let mut frames = Frames::new(10);
        assert_eq!(
            frames.push(b"data: 1234\n\ndata: 1234\n\n", &mut out),
            Ok(())
        );
        assert_eq!(
            frames.push(b"data: 1\ndata: 2\ndata: 34", &mut out),
            Err(TooLong)
        );
        assert_eq!(Frames::new(10).push(&[b'{'; 11], &mut out), Err(TooLong));
    }

    proptest! {
        #[test]
        fn bytes_cut_anywhere_give_the_same_frames(
            lines in proptest::collection::vec(
                prop_oneof![
                    Just(String::new()), Just("data: {\"é\": \"世🦀\"}".to_owned()), Just("{\"x\": [1]}".to_owned()),
                    Just("{".to_owned()), Just("}".to_owned()), Just("event: e".to_owned()), ".{0,12}",
                ], 0..12),
            ends in proptest::collection::vec(prop_oneof![Just("\n"), Just("\r\n"), Just("\r")], 12),
            cuts in proptest::collection::vec(1_usize..7, 1..200),
        ) {
            let text: String = lines.iter().zip(&ends).flat_map(|(line, end)| [line.as_str(), end]).collect();
            let mut rest = text.as_bytes();
            let mut pieces = Vec::new();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (piece, other) = rest.split_at((*cut).min(rest.len()));
                pieces.push(piece);
                rest = other;
            }
            prop_assert_eq!(frames(&pieces), frames(&[text.as_bytes()]));
        }
    }
}
