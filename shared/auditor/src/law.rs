//! [`Law`]: what must hold in every shop, each in one sentence.

use serde::Serialize;
use std::fmt;

macro_rules! laws {
    ($($(#[$doc:meta])* $name:ident $short:literal $statement:literal,)*) => {
        /// A law of the shop. The order is that of the report.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Law {
            $(#[doc = $statement] $name,)*
        }

        impl Law {
            /// Every law.
            pub const ALL: &'static [Law] = &[$(Law::$name,)*];

            /// A short name for tables.
            pub fn name(self) -> &'static str {
                match self { $(Law::$name => $short,)* }
            }

            /// What it says, in one sentence.
            pub fn statement(self) -> &'static str {
                match self { $(Law::$name => $statement,)* }
            }
        }
    };
}

laws! {
    Baton "baton" "Every transition is a step of the table, written by the holder of the baton.",
    Versions "versions"
        "The versions of an order run 1, 2, 3 and on, without gaps and without forks.",
    Terminal "terminal" "Nothing follows a terminal status.",
    WholeOrder "whole order"
        "Every transition carries the whole order, and what was agreed never changes.",
    AsAsked "as asked"
        "An order is what its PlaceOrder asked for, at names and prices of the catalog.",
    Understood "understood" "No reader puts aside a transition that counts.",
    Latest "latest" "orders.latest has the last state of every order.",
    Deadline "deadline" "Every order ends by its deadline: nothing is validated or paid after it.",
    InTime "in time"
        "No order is ended for its deadline before that has come, by the time on the log.",
    Reasons "reasons" "An order that did not end well says why; one that did has no reason.",
    Checks "checks"
        "An order is validated by the set of its checks, all passed, and rejected by failed ones.",
    Answers "answers" "Every command is answered: by a transition or by a refusal.",
    Refusal "refusal"
        "A refusal has a reason and is right: a PlaceOrder has made no order, a CancelOrder met \
         none to cancel.",
    Cancellation "cancellation"
        "An order whose cancellation was accepted ends cancelled or refunded; no other is \
         cancelled by its customer.",
    Level "level" "Per sku: available = on hand - reserved, nothing is negative, versions grow.",
    Conservation "conservation" "Per sku: restocked = on hand + committed.",
    Reserved "reserved"
        "Per sku: reserved and committed are the sums of the reservations in these states.",
    Fate "fate"
        "The reservations of a settled order share its fate: committed or released, none is left \
         open.",
    Promise "promise" "A check passes exactly if its pieces were held, and says so once.",
    Restocks "restocks" "Every Restock counts once.",
    OneCapture "one capture"
        "The bank captures, voids and refunds an order at most once each, and so does the ledger.",
    Refunds "refunds"
        "The bank holds money exactly for paid orders: refunded when due, voided when late.",
    DoubleEntry "double entry"
        "Every booking in the ledger sums up to zero over both of its accounts.",
    Statement "statement"
        "The ledger and the bank's statement say the same; amounts and customers are those of the \
         orders.",
    Books "books" "The books of payments and the log of orders say the same, amounts included.",
    Announced "announced" "order-views has every transition at least once, and nothing else.",
    ViewOrders "view: orders" "The view's orders are the fold of the log.",
    ViewTimeline "view: timeline"
        "The view's timeline has every transition with its place in the log.",
    ViewCustomers "view: customers" "The view's orders by customer are the fold of the log.",
    ViewSales "view: sales" "The view's sales are the sum over the confirmed orders.",
    ViewStock "view: stock" "The view's stock is what the topic stock says.",
    ViewProducts "view: products" "The view's products are what was captured from the catalog.",
    ViewRefusals "view: refusals" "The view's refusals are those of the log.",
    MailOnce "mail once" "One mail per order and kind; a repetition has the same Message-ID.",
    MailMatches "mail matches"
        "A settled order has the mail of its outcome, at its customer, and no other, or the mail \
         waits.",
    MailAfterView "mail after view" "A mail leaves only after the view has announced the outcome.",
    Owners "owners"
        "A record is its owner's: of the one writer of its topic, or of the validator of its \
         check.",
    Poison "poison" "What cannot be handled is in the dead letters of everyone who reads it.",
    Letters "letters"
        "A dead letter has its whole record, or says how large that was, and its digest.",
    DeadLetters "dead letters" "Every dead letter was replayed or discarded.",
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
