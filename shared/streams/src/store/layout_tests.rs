use super::*;
use serde::Deserialize;
use std::collections::HashMap;

/// Two versions of types of the same name need a module each.
macro_rules! version {
    ($module:ident { $($item:item)* }) => {
        #[allow(dead_code, reason = "only the layout is of interest")]
        mod $module {
            use super::*;
            $(#[derive(Serialize, Deserialize)] $item)*
        }
    };
}

version!(first {
    pub(super) struct Order { id: uuid::Uuid, lines: Vec<Line>, state: State }
    pub(super) struct Line { sku: Sku, count: i32 }
    #[serde(try_from = "String", into = "String")]
    #[derive(Clone)]
    pub(super) struct Sku(pub(super) String);
    pub(super) enum State { Open, Paid { by: Option<Payer> }, Over(BTreeMap<String, Why>) }
    pub(super) enum Payer { Card, Voucher(u32) }
    pub(super) enum Why { Late, Refused(String, bool) }
});
version!(line_has_a_field_more {
    pub(super) struct Order { id: uuid::Uuid, lines: Vec<Line>, state: first::State }
    pub(super) struct Line { sku: first::Sku, count: i32, price: i64 }
});
version!(line_has_other_numbers {
    pub(super) struct Order { id: uuid::Uuid, lines: Vec<Line>, state: first::State }
    pub(super) struct Line { sku: first::Sku, count: u32 }
});
version!(fields_swapped {
    pub(super) struct Order { lines: Vec<first::Line>, id: uuid::Uuid, state: first::State }
});
version!(last_variant_of_a_variant_grows {
    pub(super) struct Order { id: uuid::Uuid, lines: Vec<first::Line>, state: State }
    pub(super) enum State { Open, Paid { by: Option<first::Payer> }, Over(BTreeMap<String, Why>) }
    pub(super) enum Why { Late, Refused(String, Option<bool>) }
});
version!(a_variant_more {
    pub(super) struct Order { id: uuid::Uuid, lines: Vec<first::Line>, state: State }
    pub(super) enum State { Open, Paid { by: Option<Payer> }, Over(BTreeMap<String, first::Why>) }
    pub(super) enum Payer { Card, Voucher(u32), Cash }
});
version!(not_to_be_traced {
    pub(super) struct Endless { next: Option<Box<Endless>> }
    pub(super) struct Flat { #[serde(flatten)] rest: HashMap<String, String> }
    #[serde(untagged)]
    pub(super) enum Either { Text(String), Number(i64) }
});

impl TryFrom<String> for first::Sku {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty() { Err("no sku".to_owned()) } else { Ok(Self(text)) }
    }
}

impl From<first::Sku> for String {
    fn from(sku: first::Sku) -> Self {
        sku.0
    }
}

fn layout<V: Serialize + DeserializeOwned>() -> String {
    Layout::default().table(&Table::<V>::new(1)).unwrap().to_string()
}

#[test]
fn a_layout_tells_all_that_a_type_is_made_of() {
    assert_eq!(
        layout::<first::Order>(),
        "table 1: Order(id: bytes, lines: list(Line(sku: text, count: i32, ), ), \
         state: enum State, )\n  \
         Payer::0 Card ()\n  \
         Payer::1 Voucher (u32)\n  \
         State::0 Open ()\n  \
         State::1 Paid (by: option(enum Payer), )\n  \
         State::2 Over (map(text, enum Why))\n  \
         Why::0 Late ()\n  \
         Why::1 Refused (text, bool, )\n"
    );
    assert_eq!(layout::<first::Order>(), layout::<first::Order>());
}

#[test]
fn every_change_of_what_is_stored_changes_the_layout_however_deep_it_is() {
    let all = [
        layout::<first::Order>(),
        layout::<line_has_a_field_more::Order>(),
        layout::<line_has_other_numbers::Order>(),
        layout::<fields_swapped::Order>(),
        layout::<last_variant_of_a_variant_grows::Order>(),
        layout::<a_variant_more::Order>(),
    ];
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "{all:#?}");
}

#[test]
fn tables_have_prefixes_of_their_own() {
    let (one, two) = (Table::<u8>::new(1), Table::<u16>::new(2));
    let both = Layout::default().table(&one).unwrap().table(&two).unwrap();
    assert_eq!(both.to_string(), "table 1: u8\ntable 2: u16\n");
    assert!(both.table(&Table::<i64>::new(2)).is_err());
    assert!(Layout::default().table(&Table::<i64>::new(0)).is_err());
}

#[test]
fn a_type_that_does_not_say_what_it_is_made_of_is_refused() {
    fn why<V: Serialize + DeserializeOwned>() -> String {
        format!("{:#}", Layout::default().table(&Table::<V>::new(7)).unwrap_err())
    }
    assert!(why::<not_to_be_traced::Endless>().contains("Endless, table 7: the type contains"));
    assert!(why::<not_to_be_traced::Either>().contains("postcard writes no types"));
    assert!(!why::<not_to_be_traced::Flat>().is_empty());
}

#[test]
fn a_type_may_be_choosy_about_its_texts() {
    #[derive(Serialize, serde::Deserialize)]
    struct Money {
        name: String,
        currency: Capitals,
        address: Address,
    }

    macro_rules! choosy {
        ($name:ident, $takes:expr) => {
            #[derive(Clone, Serialize, serde::Deserialize)]
            #[serde(try_from = "String", into = "String")]
            struct $name(String);

            impl TryFrom<String> for $name {
                type Error = String;

                fn try_from(text: String) -> Result<Self, String> {
                    if $takes(&text) { Ok(Self(text)) } else { Err(format!("not {text}")) }
                }
            }

            impl From<$name> for String {
                fn from(value: $name) -> String {
                    value.0
                }
            }
        };
    }
    choosy!(Capitals, |text: &str| text.len() == 3 && text == text.to_uppercase());
    choosy!(Address, |text: &str| text.contains('@'));
    choosy!(Nothing, str::is_empty);

    let told = "table 1: Money(name: text, currency: text, address: text, )\n";
    assert_eq!(layout::<Money>(), told);
    assert!(Layout::default().table(&Table::<Nothing>::new(1)).is_err());
}
