-- Commands that changed nothing, and why.
CREATE TABLE refusals (
    command_id uuid   PRIMARY KEY,
    order_id   uuid   NOT NULL,
    command    text   NOT NULL,
    reasons    jsonb  NOT NULL,
    refused_at bigint NOT NULL
);
CREATE INDEX refusals_by_order ON refusals (order_id, refused_at);
