//! [`Layout`]: the meaning of a store's bytes, by the types of its tables.
//!
//! Postcard writes no names and no tags: bytes of an older type may well be read as another value
//! of the newer one. So a store keeps the layout that it was written with, and one with another
//! layout is rebuilt. The layout is found by letting `Deserialize` of each type ask a [`Tracer`]
//! for its parts, which takes down what was asked for: names of structs, fields and variants, and
//! what they hold, all the way down. An enum is met once per variant.

use super::Table;
use serde::{
    Serialize,
    de::{
        DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer,
        MapAccess, SeqAccess, VariantAccess, Visitor,
        value::{Error, U32Deserializer},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write as _},
};

/// Deepest nesting of a type. Deeper ones contain themselves without an enum in between.
const DEPTH_MAX: usize = 64;
/// Parts that are asked for in one pass.
const PARTS_MAX: usize = 100_000;
/// Passes over one type: an enum's variant each.
const PASSES_MAX: usize = 10_000;
/// Texts to try, in this order, with a type that does not take every text.
const TEXTS: [&str; 3] = ["a", "AAA", "a@a"];

/// Why a table cannot be in a layout: a bug of the program.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct LayoutError(String);

/// What the tables of a store hold. Two layouts are equal if either reads what the other has
/// written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    tables: BTreeMap<u8, String>,
}

impl Layout {
    /// With `table`. Every table of a processor must be listed.
    ///
    /// # Errors
    /// When its prefix is taken, or its type does not say what it is made of: it asks for
    /// "anything", refuses all of [`TEXTS`] or the number 1 for one of its parts, or contains
    /// itself.
    pub fn table<V>(mut self, table: &Table<V>) -> Result<Self, LayoutError>
    where
        V: Serialize + DeserializeOwned,
    {
        let prefix = table.prefix;
        if prefix == super::OWN_PREFIX {
            return Err(LayoutError(format!("prefix {prefix} is the store's own")));
        }
        let layout = layout_of::<V>().map_err(|error| {
            let name = std::any::type_name::<V>();
            LayoutError(format!("the layout of {name}, table {prefix}: {error}"))
        })?;
        match self.tables.insert(prefix, layout) {
            None => Ok(self),
            Some(_) => Err(LayoutError(format!("two tables have prefix {prefix}"))),
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tables.iter().try_for_each(|(prefix, layout)| writeln!(f, "table {prefix}: {layout}"))
    }
}

fn layout_of<V: DeserializeOwned>() -> Result<String, Error> {
    let mut enums = Enums::default();
    for _ in 0..PASSES_MAX {
        let root = pass::<V>(&mut enums)?;
        if enums.values().all(Traced::is_complete) {
            let mut layout = root;
            for ((name, variants), traced) in enums {
                for (index, texts) in traced.variants {
                    let variant = variants[index];
                    let text = texts.into_iter().collect::<Vec<_>>().join(" or ");
                    write!(layout, "\n  {name}::{index} {variant} {text}")
                        .map_err(Error::custom)?;
                }
            }
            return Ok(layout);
        }
    }
    Err(Error::custom(format!("over {PASSES_MAX} variants, or one that is never reached")))
}

/// One pass over the type. A part that refuses its text gets the next one, and all begins
/// again: the
/// text that was asked for last is the one to blame, as a type looks at its text when it has it.
fn pass<V: DeserializeOwned>(enums: &mut Enums) -> Result<String, Error> {
    let mut texts = Vec::new();
    loop {
        let before = enums.clone();
        let mut tracer = Tracer::new(enums, &mut texts);
        let refused = match V::deserialize(&mut tracer) {
            Ok(_) => return Ok(tracer.text),
            Err(refused) => refused,
        };
        let asked = tracer.asked;
        match asked.checked_sub(1).and_then(|last| texts.get_mut(last)) {
            Some(text) if *text + 1 < TEXTS.len() => *text += 1,
            _ => return Err(refused),
        }
        texts.truncate(asked);
        *enums = before;
    }
}

/// An enum is known by its name and the names of its variants.
type EnumKey = (&'static str, &'static [&'static str]);
type Enums = BTreeMap<EnumKey, Traced>;

/// What is known of an enum so far.
#[derive(Clone, Default)]
struct Traced {
    count: usize,
    /// What each variant holds. More than one text only if two enums have the same names.
    variants: BTreeMap<usize, BTreeSet<String>>,
    /// The enums below each variant.
    reaches: BTreeMap<usize, BTreeSet<EnumKey>>,
}

impl Traced {
    fn is_complete(&self) -> bool {
        self.variants.len() == self.count
    }
}

/// Gives a type what it asks for, and takes it down.
struct Tracer<'a> {
    text: String,
    depth: usize,
    parts: usize,
    enums: &'a mut Enums,
    /// The enums that were met in this pass, in order.
    met: Vec<EnumKey>,
    /// Which of [`TEXTS`] each part that asks for a text gets, and how many have asked.
    texts: &'a mut Vec<usize>,
    asked: usize,
}

impl<'a> Tracer<'a> {
    fn new(enums: &'a mut Enums, texts: &'a mut Vec<usize>) -> Self {
        Self { text: String::new(), depth: 0, parts: 0, enums, met: Vec::new(), texts, asked: 0 }
    }

    /// The text for the part that asks now.
    fn next_text(&mut self) -> &'static str {
        if self.asked == self.texts.len() {
            self.texts.push(0);
        }
        self.asked += 1;
        self.text.push_str("text");
        TEXTS[self.texts[self.asked - 1]]
    }

    /// One level down, between brackets.
    fn within<T>(
        &mut self,
        open: &str,
        visit: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.depth += 1;
        self.parts += 1;
        if self.depth > DEPTH_MAX || self.parts > PARTS_MAX {
            return Err(Error::custom("the type contains itself, or has no end of parts"));
        }
        self.text.push_str(open);
        let value = visit(self)?;
        self.text.push(')');
        self.depth -= 1;
        Ok(value)
    }

    /// The variant to meet in this pass: one that is not known, or else one that leads to such.
    fn next_variant(&mut self, key: EnumKey) -> usize {
        let traced = self.enums.entry(key).or_default();
        traced.count = key.1.len();
        if let Some(unknown) = (0..traced.count).find(|i| !traced.variants.contains_key(i)) {
            return unknown;
        }
        let is_open = |key: &EnumKey| !self.enums.get(key).is_some_and(Traced::is_complete);
        let reaches = &self.enums[&key].reaches;
        let leads_on = reaches.iter().find(|(_, below)| below.iter().any(is_open));
        leads_on.map_or(0, |(index, _)| *index)
    }
}

macro_rules! primitives {
    ($($ask:ident $visit:ident $name:literal $value:expr;)*) => {
        $(fn $ask<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.text.push_str($name);
            visitor.$visit($value)
        })*
    };
}

impl<'de> Deserializer<'de> for &mut Tracer<'_> {
    type Error = Error;

    /// As postcard's.
    fn is_human_readable(&self) -> bool {
        false
    }

    primitives! {
        deserialize_bool visit_bool "bool" false;
        deserialize_i8 visit_i8 "i8" 1;
        deserialize_i16 visit_i16 "i16" 1;
        deserialize_i32 visit_i32 "i32" 1;
        deserialize_i64 visit_i64 "i64" 1;
        deserialize_i128 visit_i128 "i128" 1;
        deserialize_u8 visit_u8 "u8" 1;
        deserialize_u16 visit_u16 "u16" 1;
        deserialize_u32 visit_u32 "u32" 1;
        deserialize_u64 visit_u64 "u64" 1;
        deserialize_u128 visit_u128 "u128" 1;
        deserialize_f32 visit_f32 "f32" 1.0;
        deserialize_f64 visit_f64 "f64" 1.0;
        deserialize_char visit_char "char" 'a';
        // As many as a UUID has.
        deserialize_bytes visit_borrowed_bytes "bytes" &[1; 16];
        deserialize_byte_buf visit_borrowed_bytes "bytes" &[1; 16];
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_str(self.next_text())
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_str(self.next_text())
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.text.push_str("()");
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.text.push_str(name);
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.within("option(", |tracer| visitor.visit_some(tracer))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.within(&format!("{name}("), |tracer| visitor.visit_newtype_struct(tracer))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.within("list(", |tracer| visitor.visit_seq(Parts { tracer, names: None, left: 1 }))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.within("(", |tracer| visitor.visit_seq(Parts { tracer, names: None, left: len }))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.within(&format!("{name}("), |tracer| {
            visitor.visit_seq(Parts { tracer, names: None, left: len })
        })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.within("map(", |tracer| visitor.visit_map(Parts { tracer, names: None, left: 1 }))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.within(&format!("{name}("), |tracer| {
            visitor.visit_seq(Parts { tracer, names: Some(fields), left: fields.len() })
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let key = (name, variants);
        let index = self.next_variant(key);
        self.met.push(key);
        let met = self.met.len();
        // What the variant holds is told once and for all, apart from where the enum is used.
        let outer = std::mem::take(&mut self.text);
        let value =
            self.within("(", |tracer| visitor.visit_enum(OneVariant { tracer, name, index }))?;
        let text = std::mem::replace(&mut self.text, outer);
        let below = self.met[met..].iter().copied();
        let traced = self.enums.entry(key).or_default();
        traced.reaches.entry(index).or_default().extend(below);
        traced.variants.entry(index).or_default().insert(text);
        write!(self.text, "enum {name}").map_err(Error::custom)?;
        Ok(value)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("postcard writes no names"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("postcard writes no types"))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("postcard writes no types"))
    }
}

/// The parts of a struct, a tuple, a list or a map.
struct Parts<'t, 'a> {
    tracer: &'t mut Tracer<'a>,
    names: Option<&'static [&'static str]>,
    left: usize,
}

impl Parts<'_, '_> {
    fn next<'de, T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        if let Some(names) = self.names {
            let name = names[names.len() - self.left];
            write!(self.tracer.text, "{name}: ").map_err(Error::custom)?;
        }
        self.left -= 1;
        let part = seed.deserialize(&mut *self.tracer)?;
        self.tracer.text.push_str(", ");
        Ok(Some(part))
    }
}

impl<'de> SeqAccess<'de> for Parts<'_, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        self.next(seed)
    }
}

impl<'de> MapAccess<'de> for Parts<'_, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        self.next(seed)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(&mut *self.tracer)
    }
}

/// One variant of an enum, as chosen.
struct OneVariant<'t, 'a> {
    tracer: &'t mut Tracer<'a>,
    name: &'static str,
    index: usize,
}

impl<'de> EnumAccess<'de> for OneVariant<'_, '_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let index = u32::try_from(self.index).map_err(Error::custom)?;
        let index: U32Deserializer<Error> = index.into_deserializer();
        let value = seed.deserialize(index).map_err(|error| {
            Error::custom(format!("{}, variant {}: {error}", self.name, self.index))
        })?;
        Ok((value, self))
    }
}

impl<'de> VariantAccess<'de> for OneVariant<'_, '_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self.tracer)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Parts { tracer: self.tracer, names: None, left: len })
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_seq(Parts { tracer: self.tracer, names: Some(fields), left: fields.len() })
    }
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
