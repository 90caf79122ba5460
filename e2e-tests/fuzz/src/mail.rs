//! Mails: what customers and the catalog say, in headers and bodies.

use crate::input::{Input, Output};
use contracts::{Order, Reason, email::EmailKind, orders::Note};
use email::{
    DeliveryError,
    adapters::smtp::SmtpMailer,
    config::SmtpAddr,
    domain::mail::{Mail, compose},
};
use mail_parser::MessageParser;
use std::{cell::OnceCell, str::from_utf8};

thread_local! {
    static MAILER: OnceCell<SmtpMailer> = const { OnceCell::new() };
}

/// `mail` as it goes to a server. It must be one mail, to one recipient, with one subject.
pub(crate) fn write(mail: &Mail) -> Result<(), DeliveryError> {
    let (to, message) = MAILER.with(|mailer| {
        let mailer = mailer.get_or_init(|| {
            let addr = SmtpAddr { host: "127.0.0.1".to_owned(), port: 1 };
            SmtpMailer::new(addr, "Murmuration <shop@murmuration.shop>".parse().expect("it is one"))
        });
        mailer.write(mail)
    })?;
    let recipient = to.to_string();
    assert!(!recipient.contains(['\r', '\n', '>', '\0']), "{recipient:?} ends its command");
    let bytes = message.formatted();
    let whole = from_utf8(&bytes).expect("a mail is text");
    let (head, _) = whole.split_once("\r\n\r\n").expect("a mail has headers and a body");
    for name in ["To: ", "From: ", "Subject: ", "Message-ID: "] {
        let lines = head.split("\r\n").filter(|line| line.starts_with(name));
        assert_eq!(lines.count(), 1, "{name} in {head}");
    }
    // The boundary is random, and may have these letters in it.
    let is_bcc = |line: &str| line.get(..4).is_some_and(|it| it.eq_ignore_ascii_case("bcc:"));
    assert!(!head.split("\r\n").any(is_bcc), "{head}");
    for line in whole.split("\r\n") {
        // RFC 5322, 2.1.1 and 2.2.
        assert!(line.len() <= 998 && !line.contains(['\r', '\n', '\0']), "{line:?}");
    }
    let read = MessageParser::default().parse(bytes.as_slice()).expect("a mail can be read");
    assert_eq!(read.subject(), Some(mail.subject.as_str()));
    let text = read.body_text(0).expect("it has a text");
    assert_eq!(lines_of(&text), lines_of(&mail.text), "a reader sees what was written");
    Ok(())
}

fn lines_of(text: &str) -> Vec<&str> {
    text.trim_end().lines().collect()
}

/// Texts of strangers in an order, and all mails about it.
pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut text = || String::from_utf8_lossy(input.short()).into_owned();
    let (name, address, product, note, detail) = (text(), text(), text(), text(), text());
    let mut order = order();
    if let Ok(name) = name.parse() {
        order.customer.name = name;
    }
    if let Ok(address) = address.parse() {
        order.customer.email = address;
    }
    if let Ok(product) = product.parse() {
        order.lines[0].name = product;
    }
    if let Ok(note) = Note::try_from(note) {
        order.note = note;
    }
    order.reasons = vec![Reason::new("a check", "a code", detail)];
    for kind in
        [EmailKind::Confirmation, EmailKind::Rejection, EmailKind::Cancellation, EmailKind::Refund]
    {
        match write(&compose(&order, kind)) {
            Ok(()) | Err(DeliveryError::Permanent(_)) => {}
            Err(other) => panic!("{other}: nothing was sent"),
        }
    }
}

fn order() -> Order {
    testkit::orders::order(1, &[("TEA", "Darjeeling", 2, 650)], crate::seeds::NOW)
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let seed = |texts: [&str; 5]| {
        let output = texts.iter().fold(Output::default(), |out, text| out.short(text.as_bytes()));
        output.done()
    };
    [
        ["Ada Lovelace", "ada@example.org", "Darjeeling", "ring twice", "there is too little"],
        ["Zoë", "zoë@münchen.de", "茶 & <b>Kekse</b>", "two\nlines\tand a tab", "\"quoted\""],
        ["\"Ada\" <x@y>", "ada@[IPv6:2001:db8::1]", ".", ".\n.\n", "=?utf-8?q?x?="],
        ["", "\"a b\"@example.org", "", "", "\r\nBcc: all@example.org\r\n\r\n."],
    ]
    .map(seed)
    .to_vec()
}
