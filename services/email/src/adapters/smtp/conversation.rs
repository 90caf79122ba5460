//! [`Conversation`]: one connection to the mail server, command by command (RFC 5321). The server
//! has as long for each answer as the RFC gives it, and without ESMTP it is spoken to in SMTP.
//!
//! lettre writes the mail, and not the conversation: its client needs `EHLO`, has one time-out for
//! all steps, and does not tell a mail without an answer from a mail that was not handed over.

use super::reply::Reply;
use crate::{
    config::SmtpAddr,
    domain::reply::{Step, Verdict, judge},
};
use lettre::transport::smtp::extension::ClientId;
use std::{
    fmt,
    io::{self, BufRead, BufReader, ErrorKind, Write},
    net::{TcpStream, ToSocketAddrs},
    time::{Duration, Instant},
};

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(30);

/// Longest wait until the server has taken in a part of the mail (RFC 5321, 4.5.3.2.5).
const DATA_BLOCK: Duration = Duration::from_secs(3 * 60);

/// Longest wait for the reason of a server that hangs up in the middle of a mail.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Longest wait for the answer at `step` (RFC 5321, 4.5.3.2). It has no time for `EHLO`: as for the
/// commands around it.
pub(super) fn patience(step: Step) -> Duration {
    const MINUTE: u64 = 60;
    Duration::from_secs(match step {
        Step::Greeting | Step::Hello | Step::Sender | Step::Recipient => 5 * MINUTE,
        Step::Data => 2 * MINUTE,
        Step::End => 10 * MINUTE,
    })
}

/// Why a conversation does not go on.
#[derive(Debug)]
pub(super) struct Stop {
    step: Step,
    code: Option<u16>,
    words: String,
}

impl Stop {
    /// What that means for the mail.
    pub(super) fn verdict(&self) -> Verdict {
        judge(self.step, self.code)
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

/// An open connection. When it is dropped, it says goodbye and does not wait for the answer.
pub(super) struct Conversation {
    stream: BufReader<TcpStream>,
    /// The server takes addresses that are not ASCII (RFC 6531).
    pub(super) has_smtputf8: bool,
    /// It takes commands before it has answered the ones before (RFC 2920).
    has_pipelining: bool,
    /// Longest wait for the answer at a step.
    patience: fn(Step) -> Duration,
}

/// A command, and what its answer is about.
pub(super) type Command = (Step, String);

impl Conversation {
    /// Greets the server at `addr`, which has `patience` for each answer.
    pub(super) fn open(addr: &SmtpAddr, patience: fn(Step) -> Duration) -> Result<Self, Stop> {
        let name = ClientId::default();
        let mut esmtp = Self::connect(addr, patience)?;
        match esmtp.command(Step::Hello, &format!("EHLO {name}")) {
            Ok(extensions) => {
                let is_offered = |name: &str| {
                    extensions.iter().any(|line| line.trim().eq_ignore_ascii_case(name))
                };
                esmtp.has_smtputf8 = is_offered("SMTPUTF8");
                esmtp.has_pipelining = is_offered("PIPELINING");
                return Ok(esmtp);
            }
            // A server without ESMTP refuses the command or hangs up (RFC 5321, 3.2).
            Err(Stop { code: Some(code), .. }) if code / 100 == 5 => {
                if esmtp.command(Step::Hello, &format!("HELO {name}")).is_ok() {
                    return Ok(esmtp);
                }
            }
            Err(stop) if stop.code.is_some() => return Err(stop),
            Err(_) => {}
        }
        let mut smtp = Self::connect(addr, patience)?;
        smtp.command(Step::Hello, &format!("HELO {name}"))?;
        Ok(smtp)
    }

    fn connect(addr: &SmtpAddr, patience: fn(Step) -> Duration) -> Result<Self, Stop> {
        let stopped = |error: io::Error| Stop::because(Step::Greeting, &error);
        let mut last = ErrorKind::NotFound.into();
        for place in (addr.host.as_str(), addr.port).to_socket_addrs().map_err(stopped)? {
            match TcpStream::connect_timeout(&place, CONNECT) {
                Ok(stream) => {
                    let stream = BufReader::new(stream);
                    let (has_smtputf8, has_pipelining) = (false, false);
                    let mut new = Self { stream, has_smtputf8, has_pipelining, patience };
                    new.answer(Step::Greeting)?;
                    return Ok(new);
                }
                Err(error) => last = error,
            }
        }
        Err(stopped(last))
    }

    /// Say `line`; the lines of the answer without their codes.
    pub(super) fn command(&mut self, step: Step, line: &str) -> Result<Vec<String>, Stop> {
        self.write(format!("{line}\r\n").as_bytes(), (self.patience)(step))
            .map_err(|error| Stop::because(step, &error))?;
        self.answer(step)
    }

    /// Say `commands`: at once, if the server takes that, which saves the way there and back for
    /// each but one.
    ///
    /// # Errors
    /// The first that is not answered well, and its number. The conversation is over then: the
    /// server may have gone on to the ones behind, and has no mail without its final dot.
    pub(super) fn commands(&mut self, commands: &[Command; 3]) -> Result<(), (usize, Stop)> {
        if !self.has_pipelining {
            for (n, (step, line)) in commands.iter().enumerate() {
                self.command(*step, line).map_err(|stop| (n, stop))?;
            }
            return Ok(());
        }
        let lines: String = commands.iter().map(|(_, line)| format!("{line}\r\n")).collect();
        let [(first, _), ..] = commands;
        self.write(lines.as_bytes(), DATA_BLOCK)
            .map_err(|error| (0, Stop::because(*first, &error)))?;
        for (n, (step, _)) in commands.iter().enumerate() {
            self.answer(*step).map_err(|stop| (n, stop))?;
        }
        Ok(())
    }

    /// Hand over the mail: its content, and the final dot. It is one write, as the kernel would
    /// hold a small second one back until the first is acknowledged: 40 ms for each mail.
    pub(super) fn content(&mut self, lines: &[u8]) -> Result<(), Stop> {
        if let Err(error) = self.write(lines, DATA_BLOCK) {
            // The dot is not there, so the mail is not the server's. It may have said why.
            return Err(match self.answer_within(LAST_WORDS, Step::End) {
                Err(stop) if stop.code.is_some() => stop,
                Ok(_) | Err(_) => Stop::because(Step::Data, &error),
            });
        }
        self.answer(Step::End).map(drop)
    }

    fn write(&mut self, bytes: &[u8], limit: Duration) -> io::Result<()> {
        let stream = self.stream.get_mut();
        stream.set_write_timeout(Some(limit))?;
        stream.write_all(bytes)
    }

    fn answer(&mut self, step: Step) -> Result<Vec<String>, Stop> {
        self.answer_within((self.patience)(step), step)
    }

    /// The answer at `step`, which must be there in `limit`, whole.
    fn answer_within(&mut self, limit: Duration, step: Step) -> Result<Vec<String>, Stop> {
        let (deadline, mut reply) = (Instant::now() + limit, Reply::default());
        while !reply.is_whole() {
            if let Err(error) = self.part(deadline, &mut reply) {
                let is_late = is_timeout(&error);
                let late = || format!("no answer within {} s", limit.as_secs());
                let words = if is_late { late() } else { error.to_string() };
                return Err(Stop { step, code: None, words });
            }
        }
        match judge(step, reply.code()) {
            Verdict::Continue => Ok(reply.into_lines()),
            _ => Err(Stop { step, code: reply.code(), words: reply.words() }),
        }
    }

    /// Reads what has come of `reply`.
    fn part(&mut self, deadline: Instant, reply: &mut Reply) -> io::Result<()> {
        let wait = deadline.saturating_duration_since(Instant::now());
        self.stream.get_ref().set_read_timeout(Some(wait.max(Duration::from_millis(1))))?;
        let bytes = match self.stream.fill_buf() {
            Ok([]) => return Err(io::Error::other("the server has closed the connection")),
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        };
        let taken = reply.take(bytes).map_err(io::Error::other)?;
        self.stream.consume(taken);
        Ok(())
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        let _ = self.write(b"QUIT\r\n", LAST_WORDS);
    }
}

impl Stop {
    fn because(step: Step, error: &io::Error) -> Self {
        Self { step, code: None, words: error.to_string() }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_has_the_time_of_the_rfc() {
        use Step::{Data, End, Greeting, Hello, Recipient, Sender};
        let minutes = [Greeting, Hello, Sender, Recipient, Data, End]
            .map(|step| patience(step).as_secs() / 60);
        assert_eq!(minutes, [5, 5, 5, 5, 2, 10]);
    }
}
