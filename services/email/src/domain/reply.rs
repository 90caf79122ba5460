//! What an answer of the mail server means for the mail at hand, and for the other mails.

/// Where in the conversation the answer came (RFC 5321, 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The connection, and the server's greeting.
    Greeting,
    /// `EHLO`, or `HELO`.
    Hello,
    /// `MAIL`: our sender.
    Sender,
    /// `RCPT`: the customer's address.
    Recipient,
    /// `DATA`, and the mail up to its final dot.
    Data,
    /// The final dot.
    End,
}

/// What follows from an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The next step; after the last one the mail is the server's.
    Continue,
    /// The server is away, or does not want us: no mail would do better. All wait.
    Outage,
    /// The server does not take this mail for now. Only this mail waits.
    Later,
    /// The server will never take this mail.
    Never,
    /// The server had the whole mail, and may have taken it. Only this mail waits.
    Doubtful,
}

/// What follows from `code`, the answer at `step`; none if no answer came in time, or none that is
/// SMTP.
///
/// The first digit decides (RFC 5321, 4.3.2), and the step: up to the sender nothing was said about
/// the mail. From the recipient on, a server that closes the channel (421, 3.8), hangs up or talks
/// nonsense may do so because of this mail, each time again. So this one waits, and the next mail
/// shows whether the server is away: its conversation begins with the greeting. A missing answer
/// leaves no doubt before the final dot, as the server takes a mail with its dot only (4.1.1.4).
pub fn judge(step: Step, code: Option<u16>) -> Verdict {
    use Step::{Data, End, Greeting, Hello, Recipient, Sender};
    match (step, code.map(|code| code / 100)) {
        (Data, Some(3)) => Verdict::Continue,
        (Greeting | Hello | Sender | Recipient | End, Some(2)) => Verdict::Continue,
        (Greeting | Hello | Sender, _) => Verdict::Outage,
        (Recipient | Data | End, Some(5)) => Verdict::Never,
        (Recipient | Data, _) | (End, Some(4)) => Verdict::Later,
        (End, _) => Verdict::Doubtful,
    }
}

#[cfg(test)]
mod tests {
    use super::{Step::*, Verdict::*, *};

    #[test]
    fn the_first_digit_and_the_step_decide() {
        let verdicts = |step| {
            [Some(250), Some(354), Some(421), Some(451), Some(550), Some(199), None]
                .map(|code| judge(step, code))
        };
        //                              250       354       421     451     550     199       none
        let [us, them] = [
            [Continue, Outage, Outage, Outage, Outage, Outage, Outage],
            [Continue, Later, Later, Later, Never, Later, Later],
        ];
        for step in [Greeting, Hello, Sender] {
            assert_eq!(verdicts(step), us, "{step:?}");
        }
        assert_eq!(verdicts(Recipient), them);
        assert_eq!(verdicts(Data), [Later, Continue, Later, Later, Never, Later, Later]);
        assert_eq!(verdicts(End), [Continue, Doubtful, Later, Later, Never, Doubtful, Doubtful]);
    }
}
