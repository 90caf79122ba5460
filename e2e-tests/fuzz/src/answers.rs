//! What systems outside of the shop answer: the bank, and mail servers.

use crate::input::{Input, Output};
use email::{
    adapters::smtp::reply::Reply,
    domain::reply::{Step, judge},
};
use payments::{
    adapters::bank::heard,
    domain::{Answer, Input as Heard, Task},
};
use reqwest::StatusCode;

/// Longest text of the bank that may go on, in characters.
const TEXT_CHARS_MAX: usize = 200;

/// Longest text of a mail server that may go on, in characters.
const WORDS_MAX: usize = 500;

/// What the bank says about a task: the task, the status, and the body.
pub(crate) fn answer(input: &mut Input<'_>, task: Task) -> Heard {
    let status = 100 + input.number() % 900;
    let status = StatusCode::from_u16(status).expect("there are statuses from 100 to 999");
    let heard = heard(task, status, input.long());
    let bound = |text: &str, what: &str| {
        assert!(text.chars().count() <= TEXT_CHARS_MAX, "{what} is long: {text:?}");
        assert!(!text.contains(char::is_control), "{what}: {text:?}");
    };
    match &heard {
        Heard::BankAnswered(Answer::Captured { reference }) => {
            assert!(task == Task::Charge && status.is_success(), "{status} is no capture");
            assert!(!reference.is_empty(), "a capture without a reference cannot be found again");
            bound(reference, "the reference");
        }
        Heard::BankAnswered(
            Answer::Declined { code, detail } | Answer::Refused { code, detail },
        ) => {
            assert!(task == Task::Charge && status.is_client_error(), "{status} declines nothing");
            assert!(!code.is_empty(), "a decline has a reason");
            bound(code, "the code");
            bound(detail, "the detail");
        }
        Heard::BankAnswered(Answer::Voided) => assert_eq!(task, Task::Charge),
        Heard::VoidConfirmed => assert_eq!(task, Task::Void),
        Heard::RefundConfirmed => assert_eq!(task, Task::Refund),
        Heard::BankUnknown(_) => {}
        other => panic!("the bank does not say {other:?}"),
    }
    heard
}

/// An answer of the bank.
pub(crate) fn bank(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let task = *input.one_of(&[Task::Charge, Task::Void, Task::Refund]);
    answer(&mut input, task);
}

/// An answer of the bank, as [`answer`] takes it apart.
pub(crate) fn told(output: Output, (status, body): (u16, &str)) -> Output {
    output.number(status - 100).long(body.as_bytes())
}

/// What the bank simulator answers.
pub(crate) const ANSWERS: [(u16, &str); 7] = [
    (201, r#"{"charge_id":"ch_00000001","status":"captured","amount_minor":1300}"#),
    (200, r#"{"charge_id":"ch_00000001","status":"voided"}"#),
    (402, r#"{"code":"card_declined","detail":"the amount ends in .13"}"#),
    (409, r#"{"code":"voided","detail":"the key was voided"}"#),
    (409, r#"{"code":"refunded","detail":"it was refunded"}"#),
    (422, r#"{"code":"idempotency_key_reused","detail":"the key belongs to another charge"}"#),
    (503, "<html>"),
];

pub(crate) fn bank_seeds() -> Vec<Vec<u8>> {
    let of_task = |task| ANSWERS.map(|answer| told(Output::default().byte(task), answer).done());
    (0..3).flat_map(of_task).collect()
}

const STEPS: [Step; 6] =
    [Step::Greeting, Step::Hello, Step::Sender, Step::Recipient, Step::Data, Step::End];

/// What a mail server says, in pieces.
pub(crate) fn smtp(bytes: &[u8]) {
    let (mut input, mut reply) = (Input::new(bytes), Reply::default());
    while !reply.is_whole() && !input.is_empty() {
        let mut piece = input.short();
        while !piece.is_empty() && !reply.is_whole() {
            let Ok(taken) = reply.take(piece) else { return };
            assert!((1..=piece.len()).contains(&taken), "{taken} of {} bytes", piece.len());
            piece = &piece[taken..];
        }
    }
    let (code, words) = (reply.code(), reply.words());
    // RFC 5321, 4.2: a code has three digits.
    assert!(code.is_none_or(|code| code <= 999), "{code:?}");
    assert!(words.chars().count() <= WORDS_MAX, "{words:?}");
    assert!(!words.contains(char::is_control), "{words:?}");
    if let Some(code) = code {
        assert!(words.starts_with(&format!("{code:03} ")), "{words:?} begins with the code");
    }
    for step in STEPS {
        judge(step, code);
    }
    reply.into_lines();
}

pub(crate) fn smtp_seeds() -> Vec<Vec<u8>> {
    let whole = [
        "220 mail.example ESMTP\r\n",
        "250-mail.example\r\n250-SIZE 10000\r\n250-SMTPUTF8\r\n250 HELP\r\n",
        "354 go on\r\n",
        "421 4.3.2 not now\r\n",
        "550 5.1.1 no such user\r\n",
        "HTTP/1.1 400 Bad Request\r\n",
    ];
    let mut made: Vec<_> =
        whole.iter().map(|text| Output::default().short(text.as_bytes()).done()).collect();
    for text in whole {
        let pieces = text.as_bytes().chunks(5);
        made.push(pieces.fold(Output::default(), |out, piece| out.short(piece)).done());
    }
    made
}
