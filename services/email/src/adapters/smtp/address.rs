//! Addresses as they travel.

use lettre::{Address, address::AddressError};
use std::net::Ipv6Addr;

/// `text` with its domain in ASCII (A-labels, RFC 5890), which every server takes. The local part
/// is the recipient's own business (RFC 5321, 2.3.11): it stays as it is.
pub(super) fn travelling(text: &str) -> Result<Address, AddressError> {
    let (local, domain) = text.rsplit_once('@').ok_or(AddressError::MissingParts)?;
    if let Some(literal) = domain.strip_prefix("[IPv6:").and_then(|rest| rest.strip_suffix(']')) {
        // lettre knows no tag of a literal (RFC 5321, 4.1.3): any domain shows whether it takes the
        // local part.
        literal.parse::<Ipv6Addr>().map_err(|_| AddressError::InvalidDomain)?;
        Address::new(local, "example.org")?;
        return Ok(Address::new_dangerous(local, domain));
    }
    if domain.is_ascii() {
        return Address::new(local, domain);
    }
    let domain = idna::domain_to_ascii(domain).map_err(|_| AddressError::InvalidDomain)?;
    Address::new(local, &domain)
}

/// Whether only a server with SMTPUTF8 can take `address` (RFC 6531).
pub(super) fn needs_smtputf8(address: &Address) -> bool {
    !AsRef::<str>::as_ref(address).is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_rfcs_allow_travels() {
        for (text, travels) in [
            ("ada@example.org", "ada@example.org"),
            ("ada+tea@example.org", "ada+tea@example.org"),
            ("o'brien@example.org", "o'brien@example.org"),
            ("!#$%&'*+-/=?^_`{|}~@example.org", "!#$%&'*+-/=?^_`{|}~@example.org"),
            ("\"ada lovelace\"@example.org", "\"ada lovelace\"@example.org"),
            ("\"a@b\"@example.org", "\"a@b\"@example.org"),
            ("ada@m\u{fc}nchen.de", "ada@xn--mnchen-3ya.de"),
            ("ada@\u{4f8b}\u{3048}.\u{30c6}\u{30b9}\u{30c8}", "ada@xn--r8jz45g.xn--zckzah"),
            ("ada@[192.0.2.1]", "ada@[192.0.2.1]"),
            ("ada@[IPv6:2001:db8::1]", "ada@[IPv6:2001:db8::1]"),
            ("zo\u{eb}@m\u{fc}nchen.de", "zo\u{eb}@xn--mnchen-3ya.de"),
        ] {
            let address = travelling(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(address.to_string(), travels);
            assert_eq!(needs_smtputf8(&address), text.starts_with("zo"), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_does_not() {
        for text in [
            "",
            "ada",
            "@example.org",
            "ada@",
            "a b@example.org",
            "ada@example.org\r\nRSET",
            "a\r\nb@example.org",
            "\"a\r\nb\"@example.org",
            "\"\0\"@example.org",
            "ada>@example.org",
            "ada@[IPv6:nowhere]",
            "ada@[IPv6:::1]\r\nRSET",
        ] {
            assert!(travelling(text).is_err(), "{text:?} travels");
        }
    }
}
