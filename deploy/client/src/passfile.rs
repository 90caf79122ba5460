//! URLs whose password is in a file, by libpq's parameter `passfile`. psql takes those of databases
//! as they are; other clients do not know the parameter.

use std::fs;

use anyhow::{Context, Result};

const PARAMETER: &str = "passfile=";

/// `url` with its password, if it says in which file that is: for a client, not for a log.
///
/// # Errors
/// When the file cannot be read, or has no line for the user.
pub fn with_password(url: &str) -> Result<String> {
    let Some((base, query)) = url.split_once('?') else { return Ok(url.to_owned()) };
    let mut parameters: Vec<&str> = query.split('&').collect();
    let Some(at) = parameters.iter().position(|one| one.starts_with(PARAMETER)) else {
        return Ok(url.to_owned());
    };
    let file = parameters.remove(at)[PARAMETER.len()..].to_owned();
    let (scheme, rest) = base.split_once("://").with_context(|| format!("{base} is no URL"))?;
    let (user, place) = rest.split_once('@').with_context(|| format!("{base} has no user"))?;
    let text = fs::read_to_string(&file)
        .with_context(|| format!("cannot read {file}, which has the password of `{user}`"))?;
    // host:port:database:user:password; ours have neither `:` nor `\` in them.
    let of_user = |line: &str| {
        let (rest, password) = line.rsplit_once(':')?;
        (rest.rsplit_once(':')?.1 == user).then(|| password.to_owned())
    };
    let password = text.lines().find_map(of_user);
    let password = password.with_context(|| format!("{file} has no password of `{user}`"))?;
    let query = parameters.join("&");
    let query = if query.is_empty() { query } else { format!("?{query}") };
    Ok(format!("{scheme}://{user}:{password}@{place}{query}"))
}

/// Where the database of `url` is, without the user and the password.
#[must_use]
pub fn place(url: &str) -> &str {
    let place = url.rsplit_once('@').map_or(url, |(_, place)| place);
    place.split_once('?').map_or(place, |(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_the_user_is_put_in() {
        let file = std::env::temp_dir().join(format!("shop-passfile-{}", std::process::id()));
        fs::write(&file, "*:*:*:view:one\n*:*:*:operator:two\n").unwrap();
        let url = |query: &str| format!("postgres://operator@127.0.0.1:5433/view{query}");
        assert_eq!(with_password(&url("")).unwrap(), url(""));
        let passfile = format!("?passfile={}", file.display());
        let expected = "postgres://operator:two@127.0.0.1:5433/view";
        assert_eq!(with_password(&url(&passfile)).unwrap(), expected);
        let other = format!("{passfile}&application_name=x");
        let expected = format!("{expected}?application_name=x");
        assert_eq!(with_password(&url(&other)).unwrap(), expected);
        let stranger = url(&passfile).replace("operator", "stranger");
        assert!(with_password(&stranger).unwrap_err().to_string().contains("stranger"));
        fs::remove_file(&file).unwrap();
        assert!(with_password(&url(&passfile)).unwrap_err().to_string().contains("operator"));
    }
}
