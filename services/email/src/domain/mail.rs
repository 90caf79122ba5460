//! The text of a mail. The same order gives exactly the same mail.

use contracts::{
    Money, Order, OrderLine, Reason,
    email::{EmailKind, message_id},
};

/// A mail, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The same for each attempt, so that a reader can distinguish a repeated mail from two mails.
    pub message_id: String,
    /// The customer's name, as it was when they ordered.
    pub to_name: String,
    /// The customer's address, as it was when they ordered.
    pub to_address: String,
    /// One line.
    pub subject: String,
    /// The body as plain text.
    pub text: String,
    /// The body as HTML. It says the same.
    pub html: String,
}

/// Widest column of the plain text, in characters; what is longer sticks out.
const COLUMN_CHARS_MAX: usize = 60;

/// The mail of `kind` about `order`.
pub fn compose(order: &Order, kind: EmailKind) -> Mail {
    let parts = Parts::of(order, kind);
    Mail {
        message_id: message_id(order.order_id, kind),
        to_name: order.customer.name.to_string(),
        to_address: order.customer.email.to_string(),
        subject: parts.subject.to_owned(),
        text: text(order, &parts),
        html: html(order, &parts),
    }
}

/// What is said, before it is laid out.
struct Parts {
    subject: &'static str,
    opening: String,
    reasons: Vec<String>,
    closing: &'static str,
}

impl Parts {
    fn of(order: &Order, kind: EmailKind) -> Self {
        let reasons = || order.reasons.iter().map(|reason| tell(reason, order)).collect();
        match kind {
            EmailKind::Confirmation => Self {
                subject: "Your order is confirmed",
                opening: format!(
                    "Thank you for your order. We have received your payment of {}, and everything \
                     you chose is on its way to you:",
                    order.total
                ),
                reasons: Vec::new(),
                closing: "We hope that you enjoy it.",
            },
            EmailKind::Rejection => Self {
                subject: "We cannot deliver your order",
                opening: "Thank you for your order. We are sorry that we cannot deliver it:".into(),
                reasons: reasons(),
                closing: "You have not been charged, and nothing is held for you. \
                          Order again at any time.",
            },
            EmailKind::Cancellation => Self {
                subject: "Your order was cancelled",
                opening: "This order was cancelled:".into(),
                reasons: reasons(),
                closing: "You have not been charged, and nothing is held for you.",
            },
            EmailKind::Refund => Self {
                subject: "You have your money back",
                opening: format!(
                    "This order was cancelled after you had paid, so we have given you back {}:",
                    order.payment.as_ref().map_or(&order.total, |payment| &payment.amount)
                ),
                reasons: reasons(),
                closing: "It may take your bank a few days to show it.",
            },
        }
    }
}

/// A reason in words. Of a check of stock, the customer knows the product and not the check.
fn tell(Reason { check, code, detail, .. }: &Reason, order: &Order) -> String {
    let why = if detail.is_empty() { code } else { detail };
    let of_stock = check.strip_prefix("inventory:");
    let line = of_stock.and_then(|sku| order.lines.iter().find(|line| line.sku.as_str() == sku));
    match line {
        Some(line) => format!("{}: {why}", line.name),
        None => why.clone(),
    }
}

fn text(order: &Order, parts: &Parts) -> String {
    let Parts { opening, reasons, closing, .. } = parts;
    let mut list = String::new();
    if !reasons.is_empty() {
        list.push_str("\nThe reason:\n");
        list.extend(reasons.iter().map(|reason| format!("  - {reason}\n")));
    }
    if !order.note.is_empty() {
        list.push_str("\nYour note:\n");
        // Each line behind a mark, so that nothing in it can pass for the shop's words.
        list.extend(order.note.as_str().lines().map(|line| format!("  > {line}\n")));
    }
    format!(
        "Hello {name},\n\n{opening}\n\n{table}{list}\n{closing}\n\n\
         Your order number is {id}.\n\nMurmuration\n",
        name = order.customer.name,
        table = table(order),
        id = order.order_id,
    )
}

/// The lines and their total, in columns.
fn table(order: &Order) -> String {
    let rows = rows(order);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    // A width of more than 65,535 makes `format!` panic, and a name may come from anywhere.
    let [first, second, third] =
        [0, 1, 2].map(|column| width(column).unwrap_or_default().min(COLUMN_CHARS_MAX));
    let line = |[what, each, total]: &[String; 3]| {
        format!("  {what:first$}  {each:>second$}  {total:>third$}\n")
    };
    rows.iter().map(line).collect()
}

/// What is ordered, at which price each, and in all.
fn rows(order: &Order) -> Vec<[String; 3]> {
    let money = |minor| Money::new(minor, order.total.currency).to_string();
    let row = |line: &OrderLine| {
        let what = format!("{} x {}", line.quantity, line.name);
        [what, format!("{} each", money(line.unit_price_minor.minor())), money(line.total_minor())]
    };
    let total = ["Total".to_owned(), String::new(), order.total.to_string()];
    order.lines.iter().map(row).chain([total]).collect()
}

fn html(order: &Order, parts: &Parts) -> String {
    let Parts { opening, reasons, closing, .. } = parts;
    let row = |row: &[String; 3]| {
        let [what, each, total] = row.each_ref().map(|cell| escape(cell));
        format!("<tr><td>{what}</td><td>{each}</td><td>{total}</td></tr>\n")
    };
    let rows: String = rows(order).iter().map(row).collect();
    let mut list = String::new();
    if !reasons.is_empty() {
        let item = |reason: &String| format!("<li>{}</li>\n", escape(reason));
        let items: String = reasons.iter().map(item).collect();
        list = format!("<p>The reason:</p>\n<ul>\n{items}</ul>\n");
    }
    if !order.note.is_empty() {
        let note = escape(order.note.as_str());
        list.push_str("<p>Your note:</p>\n<blockquote style=\"white-space:pre-wrap\">");
        list.push_str(&format!("{note}</blockquote>\n"));
    }
    format!(
        "<!doctype html>\n<html lang=\"en\"><body style=\"font-family:sans-serif\">\n\
         <p>Hello {name},</p>\n<p>{opening}</p>\n\
         <table cellpadding=\"6\">\n{rows}</table>\n{list}\
         <p>{closing}</p>\n<p>Your order number is <code>{id}</code>.</p>\n\
         <p>Murmuration</p>\n</body></html>\n",
        name = escape(&order.customer.name),
        opening = escape(opening),
        id = order.order_id,
    )
}

/// Names come from a database, notes from customers and reasons from anywhere: none of them is
/// markup.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::Timestamp;

    /// The mail that confirms an order with this note.
    fn with_note(note: &str) -> Mail {
        let order = testkit::orders::order(1, &[("TEA", "Assam Tea", 2, 495)], Timestamp(0));
        let note = note.to_owned().try_into().unwrap();
        compose(&Order { note, ..order }, EmailKind::Confirmation)
    }

    #[test]
    fn a_note_is_text_of_the_body_and_of_nothing_else() {
        let plain = with_note("");
        assert!(!plain.text.contains("Your note"), "{}", plain.text);
        assert!(!plain.html.contains("Your note"), "{}", plain.html);

        let forged = "ring twice\nBcc: eve@example.org\n\n<script>alert(1)</script>";
        let mail = with_note(forged);
        let quoted = "\nYour note:\n  > ring twice\n  > Bcc: eve@example.org\n  > \n  > <script>";
        assert!(mail.text.contains(quoted), "{}", mail.text);
        let escaped = "pre-wrap\">ring twice\nBcc: eve@example.org\n\n&lt;script&gt;";
        assert!(mail.html.contains(escaped), "{}", mail.html);
        let headers = |mail: &Mail| {
            let Mail { message_id, to_name, to_address, subject, .. } = mail.clone();
            [message_id, to_name, to_address, subject]
        };
        assert_eq!(headers(&mail), headers(&plain), "no header holds a word of it");
    }
}
