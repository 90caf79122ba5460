//! Addresses in settings.

/// Value parser for a base URL: `http://` or `https://`; a trailing slash is dropped, so that
/// callers can append `/path`.
///
/// # Errors
/// Says what a URL looks like when the text is not one.
pub fn http_url(text: &str) -> Result<String, String> {
    let url = text.trim_end_matches('/');
    let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    match host {
        Some(host) if !host.is_empty() && !host.starts_with('/') => Ok(url.to_owned()),
        _ => Err("expected a URL such as http://127.0.0.1:8085".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_needs_a_scheme_and_a_host_and_loses_its_last_slash() {
        assert_eq!(http_url("http://bank:8087/").unwrap(), "http://bank:8087");
        for bad in ["bank:8087", "http://", "", "ftp://bank"] {
            assert!(http_url(bad).is_err(), "{bad} was accepted");
        }
    }
}
