//! `GET /questions` and `GET /questions/{name}`.

use super::{App, views};
use crate::questions::{Asked, Parameter, QUESTIONS, Question, find};
use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use service_kit::{Problem, ValidPath, ValidQuery};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// The SQLSTATE of a table that there is not.
const NO_TABLE: &str = "42P01";

/// Every question that has a name.
#[derive(Serialize, ToSchema)]
pub(super) struct Questions {
    questions: Vec<QuestionView>,
}

/// A question that has a name.
#[derive(Serialize, ToSchema)]
#[schema(as = Question)]
struct QuestionView {
    #[schema(example = "stuck-orders")]
    name: &'static str,
    /// What it answers.
    answers: &'static str,
    /// How it is asked: `$1` is the first of the parameters.
    sql: &'static str,
    /// What it takes besides `limit`.
    parameters: &'static [Parameter],
    /// What each row has.
    columns: &'static [&'static str],
}

/// The answer to a question.
#[derive(Serialize, ToSchema)]
pub(super) struct Answer {
    #[schema(example = "stuck-orders")]
    question: &'static str,
    /// How it was asked.
    sql: &'static str,
    /// The values of `$1` and so on, by name.
    parameters: BTreeMap<&'static str, i64>,
    columns: &'static [&'static str],
    /// Values in the order of the columns; numbers of money are minor units of the currency.
    rows: Vec<Vec<Value>>,
    /// Whether there are more rows than `limit`.
    is_cut: bool,
}

/// Which question.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct QuestionPath {
    /// Its name in `GET /questions`.
    #[param(example = "stuck-orders")]
    name: String,
}

/// What the questions take; a question refuses what it does not.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it is what the document says; the question parses")]
pub(super) struct QuestionQuery {
    /// Most rows of the answer: 1 to 1000, by default 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<i64>,
    /// How many seconds, up to 30 days.
    #[param(minimum = 0, maximum = 2_592_000)]
    seconds: Option<i64>,
    /// Fewer pieces than this.
    #[param(minimum = 0, maximum = 1_000_000_000)]
    pieces: Option<i64>,
}

impl From<&'static Question> for QuestionView {
    fn from(question: &'static Question) -> Self {
        let &Question { name, answers, sql, parameters, columns } = question;
        Self { name, answers, sql, parameters, columns }
    }
}

/// What an operator may ask of the views, with the SQL of each question
#[utoipa::path(get, path = "/questions", operation_id = "questions",
    responses((status = 200, body = Questions)))]
pub(super) async fn list() -> Json<Questions> {
    Json(Questions { questions: QUESTIONS.iter().map(QuestionView::from).collect() })
}

/// The answer to a question
///
/// It is read in a transaction that is read-only, as a role that may not write, and within two
/// seconds.
#[utoipa::path(
    get,
    path = "/questions/{name}",
    operation_id = "question",
    params(QuestionPath, QuestionQuery),
    responses(
        (status = 200, body = Answer),
        (status = 400, body = Problem, content_type = "application/problem+json",
            description = "a parameter is wrong, or is not one of this question"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json",
            description = "the database is away, a view is missing, or it takes too long"),
    )
)]
pub(super) async fn ask(
    State(app): State<App>,
    ValidPath(QuestionPath { name }): ValidPath<QuestionPath>,
    ValidQuery(query): ValidQuery<Vec<(String, String)>>,
) -> Result<Json<Answer>, Problem> {
    let question = find(&name).ok_or_else(|| unknown(&name))?;
    let asked = Asked::parse(question, &query).map_err(|wrong| {
        Problem::new(StatusCode::BAD_REQUEST, "invalid_query", "The query string is not valid")
            .field(wrong.name, wrong.code, wrong.detail)
    })?;
    let (rows, is_cut) = match question.ask(&app.database, &asked).await {
        Ok(answer) => answer,
        Err(error) => return Err(unanswered(&app, question, &error).await),
    };
    let names = question.parameters.iter().map(|parameter| parameter.name);
    Ok(Json(Answer {
        question: question.name,
        sql: question.sql,
        parameters: names.zip(asked.values).collect(),
        columns: question.columns,
        rows,
        is_cut,
    }))
}

fn unknown(name: &str) -> Problem {
    let names: Vec<_> = QUESTIONS.iter().map(|question| question.name).collect();
    Problem::not_found(format!("there is no question {name}; there are {}", names.join(", ")))
}

/// Why there is no answer, and the way out.
async fn unanswered(app: &App, question: &Question, error: &anyhow::Error) -> Problem {
    let known = error.chain().find_map(|cause| cause.downcast_ref::<sqlx::Error>());
    let known = known.and_then(|error| error.as_database_error());
    let words = known.map(|error| error.message().to_owned()).unwrap_or_default();
    let code = known.and_then(|error| error.code());
    if code.as_deref() == Some(NO_TABLE)
        && let Ok(Some(dropped)) = views::missing(app, &question.views()).await
    {
        return dropped;
    }
    let (code, title, way_out) = match code.as_deref() {
        Some(NO_TABLE) => (
            "view_missing",
            "A view is missing",
            "the view makes its tables when it starts; ask again when `GET /health/ready` is 200",
        ),
        Some("42501" | "22023") => (
            "no_read_only_role",
            "The database lets no question be asked",
            "let the view's user read as others do: GRANT pg_read_all_data TO that user",
        ),
        Some("57014") => (
            "question_too_slow",
            "The question took too long",
            "it may take 2 s; ask for a shorter time, or try its SQL with EXPLAIN",
        ),
        _ => return app.database.problem(error),
    };
    let detail = format!("{words}: {way_out}");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, title).detail(detail).retry_after(5)
}
