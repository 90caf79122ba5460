//! `docs/openapi/fraud.json` is the document that the service serves.

#[test]
fn the_document_of_the_docs_is_the_one_that_is_served() {
    let json = fraud::http::document().to_pretty_json().expect("JSON") + "\n";
    testkit::assert_fresh("fraud", "docs/openapi/fraud.json", &json);
}
