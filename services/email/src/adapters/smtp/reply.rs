//! [`Reply`]: what a server says at one step of the conversation (RFC 5321, 4.2), from its bytes.
//! The server is a stranger: it may say anything, in any pieces.

/// Largest reply that is read, in bytes.
const REPLY_BYTES_MAX: usize = 16 * 1024;

/// Longest text of a reply that is told, in characters.
const WORDS_MAX: usize = 500;

/// A reply, as far as it has come: lines of `code-text`, and a last one of `code text`.
#[derive(Debug, Default)]
pub struct Reply {
    /// The line that has no end so far.
    line: Vec<u8>,
    /// The texts of the others.
    lines: Vec<String>,
    /// Bytes of all of them.
    size: usize,
    /// What the last line was, once it has come.
    end: Option<End>,
}

#[derive(Debug)]
enum End {
    /// A line with this code.
    Code(u16),
    /// This line, which is no SMTP.
    Foreign(String),
}

impl Reply {
    /// Takes the bytes up to the end of the first line; how many these are.
    ///
    /// # Errors
    /// The reply is too long.
    pub fn take(&mut self, bytes: &[u8]) -> Result<usize, &'static str> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let length = end.map_or(bytes.len(), |end| end + 1);
        self.size += length;
        if self.size > REPLY_BYTES_MAX {
            return Err("the answer is longer than 16 KiB");
        }
        self.line.extend_from_slice(&bytes[..length]);
        if end.is_some() {
            let line = std::mem::take(&mut self.line);
            self.add(String::from_utf8_lossy(&line).trim_end());
        }
        Ok(length)
    }

    fn add(&mut self, line: &str) {
        // `parse` would take a sign.
        let digits = line.get(..3).filter(|code| code.bytes().all(|byte| byte.is_ascii_digit()));
        let code = digits.and_then(|code| code.parse::<u16>().ok());
        let (text, more) = match line.get(3..4) {
            None => ("", false),
            Some(mark) => (line.get(4..).unwrap_or_default(), mark == "-"),
        };
        self.lines.push(text.to_owned());
        match code {
            Some(_) if more => {}
            Some(code) => self.end = Some(End::Code(code)),
            None => self.end = Some(End::Foreign(line.to_owned())),
        }
    }

    /// Whether its last line is there.
    pub fn is_whole(&self) -> bool {
        self.end.is_some()
    }

    /// Its code; none before it is whole, or if it is no SMTP.
    pub fn code(&self) -> Option<u16> {
        match self.end {
            Some(End::Code(code)) => Some(code),
            Some(End::Foreign(_)) | None => None,
        }
    }

    /// What it says, in bounds, for people.
    pub fn words(&self) -> String {
        let words = match &self.end {
            Some(End::Code(code)) => format!("{code:03} {}", self.lines.join(" ")),
            Some(End::Foreign(line)) => format!("no SMTP: {line}"),
            None => self.lines.join(" "),
        };
        words.chars().filter(|c| !c.is_control()).take(WORDS_MAX).collect()
    }

    /// The texts of its lines.
    pub fn into_lines(self) -> Vec<String> {
        self.lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reply of a server that sends `text` in pieces of `size` bytes; what it has not read.
    fn read(text: &str, size: usize) -> (Reply, usize) {
        let (mut reply, mut at) = (Reply::default(), 0);
        while !reply.is_whole() && at < text.len() {
            let piece = &text.as_bytes()[at..text.len().min(at + size)];
            at += reply.take(piece).unwrap();
        }
        (reply, text.len() - at)
    }

    #[test]
    fn a_reply_is_read_line_by_line_however_it_comes() {
        for size in [1, 3, 1000] {
            let (reply, left) =
                read("250-mail.example\r\n250-SIZE 1000\r\n250 HELP\r\n220 x", size);
            assert_eq!((reply.code(), left), (Some(250), 5), "{size}");
            assert_eq!(reply.words(), "250 mail.example SIZE 1000 HELP");
            assert_eq!(reply.into_lines(), ["mail.example", "SIZE 1000", "HELP"]);
            let (reply, _) = read("042 odd\r\n", size);
            assert_eq!((reply.code(), reply.words()), (Some(42), "042 odd".to_owned()));
            let (reply, _) = read("354\r\n", size);
            assert_eq!((reply.code(), reply.words()), (Some(354), "354 ".to_owned()));
            let (reply, _) = read("250-unfinished\r\n", size);
            assert_eq!((reply.is_whole(), reply.code()), (false, None));
        }
    }

    #[test]
    fn what_is_no_smtp_has_no_code() {
        for line in ["", "25", "hello", "-20 x", "+25 x", "2\u{e9} x", "HTTP/1.1 400 Bad Request"] {
            let (reply, _) = read(&format!("{line}\r\n"), 7);
            assert_eq!((reply.is_whole(), reply.code()), (true, None), "{line:?}");
            assert!(reply.words().starts_with("no SMTP: "), "{line:?}");
        }
    }

    #[test]
    fn a_reply_has_bounds() {
        let mut reply = Reply::default();
        assert_eq!(reply.take(&[b'2'; 10_000]), Ok(10_000));
        assert!(reply.take(&[b'2'; 10_000]).is_err());
        let (reply, _) = read(&format!("550 {}\u{1b}[2J\r\n", "x".repeat(1_000)), 100);
        assert_eq!(reply.words().len(), WORDS_MAX);
        let (reply, _) = read("550 \u{1b}[2J\r\n", 100);
        assert_eq!(reply.words(), "550 [2J");
    }
}
