//! `docs/openapi/email.json` is the document that the service serves.

#[test]
fn the_document_of_the_docs_is_the_one_that_is_served() {
    let json = email::http::document().to_pretty_json().expect("JSON") + "\n";
    testkit::assert_fresh("email", "docs/openapi/email.json", &json);
}
