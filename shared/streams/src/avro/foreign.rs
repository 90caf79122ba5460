//! [`parse`]: schemas that were not written here.
//!
//! A schema may have any attributes beside those of Avro (specification 1.12, "Schema
//! Declaration"). apache-avro 0.22 takes some of them for Avro's own when it makes the Parsing
//! Canonical Form: over a record with a `size` that is no number, or with `items` that are no
//! schema, it panics. So they are taken out before: Avro gives them no meaning.

use super::AvroError;
use apache_avro::{Schema, error::Details};
use serde_json::Value;

/// The schema in `text`.
///
/// # Errors
/// When it is no JSON, or no schema.
pub(crate) fn parse(text: &str) -> Result<Schema, AvroError> {
    let mut schema = serde_json::from_str(text).map_err(Details::ParseSchemaJson)?;
    clean(&mut schema);
    Schema::parse(&schema)
}

/// Takes out what Avro does not define for a schema of its type.
fn clean(schema: &mut Value) {
    let attributes = match schema {
        Value::Object(attributes) => attributes,
        Value::Array(union) => {
            union.iter_mut().for_each(clean);
            return;
        }
        // A name, or nothing that a parser takes.
        _ => return,
    };
    let own: &[&str] = match attributes.get("type").and_then(Value::as_str) {
        Some("record") => &["fields"],
        Some("enum") => &["symbols", "default"],
        Some("array") => &["items"],
        Some("map") => &["values"],
        Some("fixed") => &["size", "precision", "scale"],
        Some("bytes") => &["precision", "scale"],
        _ => &[],
    };
    attributes.retain(|name, value| match name.as_str() {
        "type" | "name" | "namespace" | "doc" | "aliases" | "logicalType" => true,
        "size" | "precision" | "scale" => own.contains(&name.as_str()) && value.as_i64().is_some(),
        name => own.contains(&name),
    });
    for (name, value) in attributes {
        match (name.as_str(), value) {
            ("fields", Value::Array(fields)) => fields.iter_mut().for_each(clean_field),
            ("type" | "items" | "values", schema) => clean(schema),
            _ => {}
        }
    }
}

fn clean_field(field: &mut Value) {
    let Value::Object(attributes) = field else { return };
    let defined = ["name", "type", "doc", "default", "order", "aliases"];
    attributes.retain(|name, _| defined.contains(&name.as_str()));
    attributes.get_mut("type").into_iter().for_each(clean);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> String {
        parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).canonical_form()
    }

    #[test]
    fn an_attribute_that_avro_does_not_define_changes_nothing() {
        let plain = r#"{"type":"record","name":"N","fields":[{"name":"n","type":"int"}]}"#;
        let others = ["size", "precision", "scale", "items", "values", "symbols", "colour"];
        for value in ["\"large\"", "5", "5.5", "null", "[7]", "{\"a\":true}", "1e30"] {
            for other in others {
                let more = format!(r#""{other}":{value}"#);
                let of_record = plain.replace(r#""name":"N""#, &format!(r#""name":"N",{more}"#));
                let of_field = plain.replace(r#""int""#, &format!(r#""int",{more}"#));
                let inner = format!(r#"{{"type":"int",{more}}}"#);
                let of_type = plain.replace(r#""int""#, &inner);
                for text in [of_record, of_field, of_type] {
                    assert_eq!(canonical(&text), canonical(plain), "{text}");
                }
            }
        }
    }

    #[test]
    fn what_avro_defines_stays() {
        let same = |text: &str| {
            let plain = Schema::parse_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(parse(text).unwrap(), plain, "{text}");
            assert_eq!(canonical(text), plain.canonical_form(), "{text}");
        };
        for text in [
            r#""string""#,
            r#"["null",{"type":"map","values":{"type":"array","items":"long"}}]"#,
            r#"{"type":"fixed","name":"f","size":16,
                "logicalType":"decimal","precision":9,"scale":2}"#,
            r#"{"type":"bytes","logicalType":"decimal","precision":9}"#,
            r#"{"type":{"type":"enum","name":"e","namespace":"a.b",
                "symbols":["A","B"],"default":"A"}}"#,
            r#"{"type":"record","name":"N","doc":"d","aliases":["O"],"fields":[
                {"name":"l","type":["null","N"],"default":null,"order":"ignore","aliases":["k"]},
                {"name":"size","type":"int","default":7},
                {"name":"t","type":{"type":"long","logicalType":"timestamp-millis"}}]}"#,
        ] {
            same(text);
        }
        let defaulted = parse(
            r#"{"type":"record","name":"N","fields":[{"name":"m",
                "type":{"type":"map","values":"int"},"default":{"size":1,"items":2}}]}"#,
        );
        let Schema::Record(record) = defaulted.unwrap() else { panic!("it is a record") };
        let kept = serde_json::json!({"size": 1, "items": 2});
        assert_eq!(
            record.fields[0].default,
            Some(kept),
            "a value of the stranger's is no attribute"
        );
    }

    #[test]
    fn what_is_no_schema_is_an_error() {
        for text in [
            "",
            "5",
            "{",
            r#"{"type":"fixed","name":"f","size":"16"}"#,
            r#"{"type":"fixed","name":"f","size":18446744073709551615}"#,
            r#"{"type":"array","items":5}"#,
            r#"{"type":"record","name":"N","fields":5}"#,
            r#"{"type":"record","name":"N","fields":[
                {"name":"n","precision":"high","type":"int","default":"x"}]}"#,
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
