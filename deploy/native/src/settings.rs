//! The settings of `shop up`: variables and instances of services.

use client::SERVICES;
use contracts::ServiceName;

/// One `SERVICE.KEY=VALUE` of `--env`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EnvSetting {
    /// The service that gets it, in all its instances.
    pub service: String,
    /// The variable's name.
    pub key: String,
    /// The variable's value.
    pub value: String,
}

impl std::str::FromStr for EnvSetting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not SERVICE.KEY=VALUE, such as orders.RUST_LOG=debug");
        let (name, value) = text.split_once('=').ok_or_else(wrong)?;
        let (service, key) = name.split_once('.').ok_or_else(wrong)?;
        if key.is_empty() {
            return Err(wrong());
        }
        if service != "bank" && !SERVICES.contains(&service) {
            return Err(format!(
                "`{service}` is no service; there are {}, bank",
                SERVICES.join(", ")
            ));
        }
        Ok(Self { service: service.into(), key: key.into(), value: value.into() })
    }
}

/// One `SERVICE=N` of `--scale`: how many instances of a service run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Scale {
    /// The service.
    pub service: String,
    /// How many instances, 1 to 9.
    pub instances: u16,
}

impl std::str::FromStr for Scale {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not SERVICE=N with N from 1 to 9, such as orders=2");
        let (service, count) = text.split_once('=').ok_or_else(wrong)?;
        let instances = count.parse().map_err(|_| wrong())?;
        if !(1..=9).contains(&instances) {
            return Err(wrong());
        }
        if !SERVICES.contains(&service) {
            return Err(format!("`{service}` is no service; there are {}", SERVICES.join(", ")));
        }
        Ok(Self { service: service.into(), instances })
    }
}

/// One `SERVICE` of `--with`: a service that a shop has only if it is asked for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct With {
    /// The service.
    pub service: ServiceName,
    /// The check that orders must then require.
    pub check: &'static str,
}

impl std::str::FromStr for With {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let extra =
            |service: ServiceName| service.spec().extra_check.map(|check| Self { service, check });
        let known = || ServiceName::ALL.into_iter().filter_map(extra);
        known().find(|with| with.service.as_str() == text).ok_or_else(|| {
            let names: Vec<_> = known().map(|with| with.service.as_str()).collect();
            format!("`{text}` cannot be asked for; there are {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn env_settings_name_the_service_the_key_and_the_value() {
        let setting: EnvSetting = "orders.RUST_LOG=streams=debug,info".parse().unwrap();
        assert_eq!((setting.service.as_str(), setting.key.as_str()), ("orders", "RUST_LOG"));
        assert_eq!(setting.value, "streams=debug,info");
        for wrong in ["RUST_LOG=x", "orders.=x", "orders.KEY", "nobody.KEY=x"] {
            assert!(wrong.parse::<EnvSetting>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_what_a_shop_can_do_without_is_asked_for() {
        let extra = ServiceName::ALL.into_iter().find(|service| !service.spec().runs_by_default());
        let extra = extra.expect("there is a validator besides inventory");
        let with: With = extra.as_str().parse().unwrap();
        assert_eq!((with.service, Some(with.check)), (extra, extra.spec().extra_check));
        for wrong in ["orders", "nobody", ""] {
            assert!(wrong.parse::<With>().unwrap_err().contains(extra.as_str()), "{wrong}");
        }
    }

    #[test]
    fn scale_is_bounded_and_knows_the_services() {
        assert_eq!("orders=2".parse::<Scale>().unwrap().instances, 2);
        for wrong in ["orders", "orders=0", "orders=10", "orders=x", "kafka=2"] {
            assert!(wrong.parse::<Scale>().is_err(), "{wrong}");
        }
    }
}
