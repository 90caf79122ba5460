//! Addresses in settings.

/// The names of this machine: people use one as well as the other.
pub const LOOPBACK: [&str; 2] = ["127.0.0.1", "localhost"];

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

/// The origin of a URL that [`http_url`] has taken (RFC 6454): scheme, host and port.
pub fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |scheme| scheme + 3);
    let end = url[host..].find(['/', '?', '#']).map_or(url.len(), |length| host + length);
    &url[..end]
}

/// The origins of the page at `url`, as browsers write them (RFC 6454): lower case, no default
/// port, and both names of this machine.
pub fn origins(url: &str) -> Vec<String> {
    let origin = origin(url).to_ascii_lowercase();
    let default_port = if origin.starts_with("https:") { ":443" } else { ":80" };
    let origin = origin.strip_suffix(default_port).unwrap_or(&origin);
    let (scheme, place) = origin.split_once("://").unwrap_or(("http", origin));
    let (host, port) = place.split_at(place.find(':').unwrap_or(place.len()));
    match LOOPBACK.contains(&host) {
        true => LOOPBACK.map(|host| format!("{scheme}://{host}{port}")).to_vec(),
        false => vec![origin.to_owned()],
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

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        for (url, expected) in [
            ("https://Shop.Example:443/view", &["https://shop.example"][..]),
            ("http://shop.example:8084", &["http://shop.example:8084"]),
            ("http://[::1]:8084", &["http://[::1]:8084"]),
            ("http://localhost:8084/", &["http://127.0.0.1:8084", "http://localhost:8084"]),
            ("http://127.0.0.1", &["http://127.0.0.1", "http://localhost"]),
        ] {
            assert_eq!(origins(url), expected, "{url}");
        }
    }

    #[test]
    fn an_origin_ends_before_the_path() {
        for url in
            ["http://shop:8084", "http://shop:8084/", "http://shop:8084/a?b", "http://shop:8084#a"]
        {
            assert_eq!(origin(url), "http://shop:8084");
        }
    }
}
