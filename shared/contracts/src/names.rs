//! What follows from the names of the services: [`crate::ServiceName`], [`crate::identities`] and
//! the dead letters of each. The names are at the crate's root, below everything that mentions one.

/// Makes of a list of services their names, their identities, and their dead letters.
macro_rules! services {
    ($($(#[$doc:meta])* $service:ident = $name:literal;)+) => {
        /// The services of the shop, as data.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ServiceName {
            $($(#[$doc])* $service,)+
        }

        impl ServiceName {
            /// Every service.
            pub const ALL: [ServiceName; [$($name),+].len()] = [$(ServiceName::$service),+];

            /// The name of binary, consumer group and `ce_source`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(ServiceName::$service => $name,)+
                }
            }
        }

        impl std::fmt::Display for ServiceName {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for ServiceName {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let known = Self::ALL.into_iter().find(|service| service.as_str() == text);
                known.ok_or_else(|| {
                    let all = Self::ALL.map(Self::as_str).join(", ");
                    format!("`{text}` is no service; there are {all}")
                })
            }
        }

        /// Where each service puts what it cannot handle, in the order of [`ServiceName::ALL`].
        pub(crate) static DEAD_LETTERS: [streams::topic::TopicSpec; ServiceName::ALL.len()] = [
            $(streams::topic::dead_letters(
                concat!($name, ".dlq"),
                $name,
                streams::topic::PartitionCount::Setting,
            )),+
        ];

        /// The identities of the services, as types.
        pub mod identities {
            $(
                $(#[$doc])*
                #[derive(Debug, Clone, Copy)]
                pub struct $service;

                impl streams::Service for $service {
                    const NAME: &'static str = $name;
                    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

                    fn dead_letters() -> &'static streams::topic::TopicSpec {
                        &super::DEAD_LETTERS[super::ServiceName::$service as usize]
                    }

                    fn story(
                        correlation_id: Option<&str>,
                        traceparent: Option<&str>,
                        record: Option<&streams::Record>,
                    ) -> tracing::Span {
                        $crate::story::of_story(correlation_id, traceparent, record)
                    }
                }
            )+
        }
    };
}

pub(crate) use services;
