//! [`Input`]: bytes of the fuzzer, taken apart. Every input has a meaning: what is not there is
//! zero, or empty.

/// What is left of an input.
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    pub(crate) fn number(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// One of `choices`, by a byte.
    pub(crate) fn one_of<'c, T>(&mut self, choices: &'c [T]) -> &'c T {
        &choices[usize::from(self.byte()) % choices.len()]
    }

    /// So many bytes as the next byte says.
    pub(crate) fn short(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte());
        self.take(length)
    }

    /// So many bytes as the next two say.
    pub(crate) fn long(&mut self) -> &'a [u8] {
        let length = usize::from(self.number());
        self.take(length)
    }

    pub(crate) fn rest(&mut self) -> &'a [u8] {
        self.take(usize::MAX)
    }

    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

/// What [`Input`] takes apart, put together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Output(Vec<u8>);

impl Output {
    pub(crate) fn byte(mut self, byte: u8) -> Self {
        self.0.push(byte);
        self
    }

    pub(crate) fn number(self, number: u16) -> Self {
        self.rest(&number.to_le_bytes())
    }

    pub(crate) fn short(self, bytes: &[u8]) -> Self {
        let length = u8::try_from(bytes.len()).expect("a seed is short");
        self.byte(length).rest(bytes)
    }

    pub(crate) fn long(self, bytes: &[u8]) -> Self {
        let length = u16::try_from(bytes.len()).expect("a seed is not that long");
        self.number(length).rest(bytes)
    }

    pub(crate) fn rest(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn done(self) -> Vec<u8> {
        self.0
    }
}
