//! [`Asked`]: the parameters of a question, as a client has sent them.

use super::Question;
use serde::Serialize;
use utoipa::ToSchema;

/// Most rows of an answer, and those without a `limit`.
const LIMIT: Parameter = Parameter {
    name: "limit",
    about: "Most rows of the answer",
    default: 100,
    minimum: 1,
    maximum: 1000,
};

/// A whole number that a question depends on.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Parameter {
    /// Its name in the query string.
    pub name: &'static str,
    /// What it means.
    pub about: &'static str,
    /// What it is when the client leaves it out.
    pub default: i64,
    /// Its least value.
    pub minimum: i64,
    /// Its greatest value.
    pub maximum: i64,
}

/// A question with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Values of the question's parameters, in their order.
    pub values: Vec<i64>,
    /// Most rows.
    pub limit: i64,
}

/// Which parameter is wrong, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Its name.
    pub name: String,
    /// `unknown`, `duplicate`, `invalid` or `out_of_range`.
    pub code: &'static str,
    /// What would be right.
    pub detail: String,
}

impl Parameter {
    /// How far back, in seconds: up to 30 days.
    pub(super) const fn seconds(default: i64) -> Self {
        let about = "How many seconds";
        Self { name: "seconds", about, default, minimum: 0, maximum: 30 * 24 * 3600 }
    }

    /// How many pieces.
    pub(super) const fn pieces(default: i64) -> Self {
        let about = "Fewer pieces than this";
        Self { name: "pieces", about, default, minimum: 0, maximum: 1_000_000_000 }
    }

    fn parse(&self, text: &str) -> Result<i64, Wrong> {
        let (minimum, maximum) = (self.minimum, self.maximum);
        let detail = format!("must be a whole number from {minimum} to {maximum}");
        let wrong = |code| Wrong { name: self.name.to_owned(), code, detail: detail.clone() };
        let value: i64 = text.parse().map_err(|_| wrong("invalid"))?;
        if (minimum..=maximum).contains(&value) { Ok(value) } else { Err(wrong("out_of_range")) }
    }
}

impl Asked {
    /// `question` with the parameters of a query string.
    ///
    /// # Errors
    /// The first one that is wrong.
    pub fn parse(question: &Question, query: &[(String, String)]) -> Result<Self, Wrong> {
        let known = || question.parameters.iter().chain([&LIMIT]);
        for (index, (name, _)) in query.iter().enumerate() {
            let wrong = |code, detail| Err(Wrong { name: name.clone(), code, detail });
            if !known().any(|parameter| parameter.name == name) {
                let names: Vec<_> = known().map(|parameter| parameter.name).collect();
                let detail = format!("{} takes {}", question.name, names.join(" and "));
                return wrong("unknown", detail);
            }
            if query[..index].iter().any(|(earlier, _)| earlier == name) {
                return wrong("duplicate", "send it once".to_owned());
            }
        }
        let value = |parameter: &Parameter| {
            let sent = query.iter().find(|(name, _)| name == parameter.name);
            sent.map_or(Ok(parameter.default), |(_, text)| parameter.parse(text))
        };
        let values = question.parameters.iter().map(value).collect::<Result<_, _>>()?;
        Ok(Self { values, limit: value(&LIMIT)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::questions::find;

    fn parse(name: &str, query: &[(&str, &str)]) -> Result<Asked, (String, &'static str)> {
        let query: Vec<_> = query.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
        Asked::parse(find(name).unwrap(), &query).map_err(|wrong| (wrong.name, wrong.code))
    }

    #[test]
    fn what_is_left_out_has_its_default_and_what_is_wrong_is_named() {
        let asked = |seconds, limit| Ok(Asked { values: vec![seconds], limit });
        assert_eq!(parse("stuck-orders", &[]), asked(5, 100));
        assert_eq!(parse("stuck-orders", &[("limit", "7"), ("seconds", "60")]), asked(60, 7));
        for (query, name, code) in [
            (&[("seconds", "soon")][..], "seconds", "invalid"),
            (&[("seconds", "1.5")], "seconds", "invalid"),
            (&[("seconds", "-1")], "seconds", "out_of_range"),
            (&[("limit", "0")], "limit", "out_of_range"),
            (&[("limit", "1001")], "limit", "out_of_range"),
            (&[("pieces", "3")], "pieces", "unknown"),
            (&[("limit", "1"), ("limit", "1")], "limit", "duplicate"),
        ] {
            assert_eq!(parse("stuck-orders", query), Err((name.to_owned(), code)), "{query:?}");
        }
    }
}
