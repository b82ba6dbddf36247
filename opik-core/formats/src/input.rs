//! The bytes of the input: counted, and decompressed where they are gzip.

use std::fmt;
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};

use flate2::bufread::MultiGzDecoder;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const BUFFER: usize = 128 << 10;

/// Counts what is read.
pub(crate) struct Counted<R> {
    inner: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.bytes = self.bytes.saturating_add(count as u64);
        Ok(count)
    }
}

type Raw<R> = Chain<Cursor<Vec<u8>>, Counted<R>>;

/// The input's text, whether it is compressed or not.
pub(crate) enum Input<R> {
    Plain(BufReader<Raw<R>>),
    Gzip(Box<BufReader<MultiGzDecoder<BufReader<Raw<R>>>>>),
}

impl<R: Read> Input<R> {
    /// Looks at the first two bytes.
    pub(crate) fn open(inner: R) -> io::Result<Self> {
        let mut counted = Counted { inner, bytes: 0 };
        let mut head = Vec::with_capacity(GZIP_MAGIC.len());
        // By reference: the rest is read after the head was looked at.
        counted
            .by_ref()
            .take(GZIP_MAGIC.len() as u64)
            .read_to_end(&mut head)?;
        let compressed = head == GZIP_MAGIC;
        let raw = BufReader::with_capacity(BUFFER, Cursor::new(head).chain(counted));
        Ok(if compressed {
            let decoder = MultiGzDecoder::new(raw);
            Self::Gzip(Box::new(BufReader::with_capacity(BUFFER, decoder)))
        } else {
            Self::Plain(raw)
        })
    }

    /// Bytes taken from the source, before decompression.
    pub(crate) fn consumed(&self) -> u64 {
        let raw = match self {
            Self::Plain(raw) => raw.get_ref(),
            Self::Gzip(text) => text.get_ref().get_ref().get_ref(),
        };
        raw.get_ref().1.bytes
    }

    pub(crate) fn is_compressed(&self) -> bool {
        matches!(self, Self::Gzip(_))
    }
}

impl<R: Read> Read for Input<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(raw) => raw.read(buffer),
            Self::Gzip(text) => text.read(buffer),
        }
    }
}

impl<R: Read> BufRead for Input<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self {
            Self::Plain(raw) => raw.fill_buf(),
            Self::Gzip(text) => text.fill_buf(),
        }
    }

    fn consume(&mut self, amount: usize) {
        match self {
            Self::Plain(raw) => raw.consume(amount),
            Self::Gzip(text) => text.consume(amount),
        }
    }
}

impl<R: Read> fmt::Debug for Input<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input")
            .field("consumed", &self.consumed())
            .field("compressed", &self.is_compressed())
            .finish()
    }
}
