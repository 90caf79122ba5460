//! `shop token`: issues a token of the issuer of development.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, value_parser};
use client::{Development, Dirs, issue};
use tokens::{Identity, Role};

use super::place::Place;

/// Longest life of a token, in hours: a week.
const HOURS_MAX: u64 = 7 * 24;

/// Whose token.
#[derive(Args, Debug)]
pub(crate) struct TokenArgs {
    /// The customer, such as ada; with --staff a name for what staff has done
    #[arg(required_unless_present_any = ["staff", "rotate"])]
    name: Option<String>,
    /// Of staff, who may do all
    #[arg(long)]
    staff: bool,
    /// How many hours it holds: 1 to 168
    #[arg(long, default_value_t = 12, value_parser = value_parser!(u64).range(1..=HOURS_MAX))]
    hours: u64,
    /// Sign with a new key from now on; tokens of the one before hold until the next time
    #[arg(long)]
    rotate: bool,
    #[command(flatten)]
    place: Place,
}

/// Does it: the token alone is on stdout.
///
/// # Errors
/// When the shop has no issuer, or there can be no such name.
pub(crate) fn run(args: &TokenArgs) -> Result<()> {
    let development = Development::of(&Dirs::at(args.place.dir()));
    let Some(issuer) = development.issuer()? else {
        bail!(
            "the shop in {} has no issuer of tokens: `./shop up --auth` makes one; without it, \
             callers need no token",
            args.place.dir().display()
        );
    };
    let issuer = match args.rotate {
        true => development.rotate()?,
        false => issuer,
    };
    let role = if args.staff { Role::Staff } else { Role::Customer };
    let name = match (&args.name, args.staff) {
        (Some(name), _) => name,
        (None, true) => "staff",
        (None, false) => {
            eprintln!("tokens are signed with the key {} from now on", issuer.key_id());
            return Ok(());
        }
    };
    let lifetime = Duration::from_secs(args.hours * 3600);
    println!("{}", issue(&issuer, &Identity::new(role, name)?, lifetime));
    Ok(())
}
