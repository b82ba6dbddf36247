//! Where a JSON object or list ends, without reading it.

/// Counts brackets outside of strings.
#[derive(Debug, Default)]
pub(super) struct Balance {
    depth: u64,
    in_string: bool,
    escaped: bool,
    opened: bool,
}

impl Balance {
    /// Reads on.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.step(byte);
        }
    }

    /// Reads on until the end; how many bytes belong to it.
    pub(super) fn feed_to_end(&mut self, bytes: &[u8]) -> Option<usize> {
        for (place, &byte) in bytes.iter().enumerate() {
            self.step(byte);
            if self.is_complete() {
                return Some(place + 1);
            }
        }
        None
    }

    /// Whether an object or list was opened and is closed.
    pub(super) fn is_complete(&self) -> bool {
        self.opened && self.depth == 0 && !self.in_string
    }

    fn step(&mut self, byte: u8) {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => {
                self.opened = true;
                self.depth = self.depth.saturating_add(1);
            }
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }
}
