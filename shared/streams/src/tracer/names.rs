//! Names of attributes, as the semantic conventions of [`SCHEMA_URL`] have them.

/// The version of the conventions.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.42.0";

/// What carries messages: `kafka`.
pub const SYSTEM: &str = "messaging.system";
/// What is done with a message, in our words: `process`, `batch`, `send`, `create`.
pub const OPERATION_NAME: &str = "messaging.operation.name";
/// The same in the words of the conventions: `process`, `send`, `create`.
pub const OPERATION_TYPE: &str = "messaging.operation.type";
/// The topic.
pub const DESTINATION: &str = "messaging.destination.name";
/// The partition.
pub const PARTITION_ID: &str = "messaging.destination.partition.id";
/// The offset.
pub const OFFSET: &str = "messaging.kafka.offset";
/// The key, if it is a text.
pub const KEY: &str = "messaging.kafka.message.key";
/// The consumer group.
pub const GROUP_NAME: &str = "messaging.consumer.group.name";
/// How many records are in a batch.
pub const BATCH_COUNT: &str = "messaging.batch.message_count";
/// `ce_id`.
pub const MESSAGE_ID: &str = "messaging.message.id";
/// `correlationid`.
pub const CONVERSATION_ID: &str = "messaging.message.conversation_id";
/// What kind of error it was.
pub const ERROR_TYPE: &str = "error.type";
/// Whom a call is for: a name or an address.
pub const SERVER_ADDRESS: &str = "server.address";
/// The port there.
pub const SERVER_PORT: &str = "server.port";
/// What is spoken: `smtp`.
pub const PROTOCOL: &str = "network.protocol.name";
/// GET, POST.
pub const HTTP_METHOD: &str = "http.request.method";
/// Which call for the same thing it is, from 0.
pub const HTTP_RESENDS: &str = "http.request.resend_count";
/// What was answered.
pub const HTTP_STATUS: &str = "http.response.status_code";
/// What is asked for.
pub const URL_FULL: &str = "url.full";
/// The same, for all of its kind.
pub const URL_TEMPLATE: &str = "url.template";

/// All of these, for a test to compare.
pub const ALL: [&str; 20] = [
    SYSTEM,
    OPERATION_NAME,
    OPERATION_TYPE,
    DESTINATION,
    PARTITION_ID,
    OFFSET,
    KEY,
    GROUP_NAME,
    BATCH_COUNT,
    MESSAGE_ID,
    CONVERSATION_ID,
    ERROR_TYPE,
    SERVER_ADDRESS,
    SERVER_PORT,
    PROTOCOL,
    HTTP_METHOD,
    HTTP_RESENDS,
    HTTP_STATUS,
    URL_FULL,
    URL_TEMPLATE,
];
