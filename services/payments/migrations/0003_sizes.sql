-- What the relay cannot carry is no row: it would stand before all that come after it. The topics are those that payments
-- writes, and the sizes are `limits` of the runtime, doubled and more where bytes become text. Rows that were there before are
-- not looked at: the relay cuts what is too large, and puts aside what is for another topic.
ALTER TABLE outbox
    -- Of a dead letter that was cut: how large its record was, and its digest.
    ADD COLUMN dlq_bytes text,
    ADD COLUMN dlq_sha256 text,
    ADD CONSTRAINT outbox_topic_is_one_that_payments_writes
        CHECK (aggregatetype IN ('orders', 'payments.dlq')) NOT VALID,
    ADD CONSTRAINT outbox_order_has_a_payload
        CHECK (aggregatetype <> 'orders' OR payload IS NOT NULL) NOT VALID,
    ADD CONSTRAINT outbox_payload_has_at_most_900000_bytes
        CHECK (octet_length(payload) <= 900000) NOT VALID,
    ADD CONSTRAINT outbox_key_has_at_most_4096_bytes
        CHECK (octet_length(aggregateid) <= 4096) NOT VALID,
    ADD CONSTRAINT outbox_headers_have_at_most_65536_bytes
        CHECK (octet_length(concat(
            type, ce_id, ce_source, ce_type, ce_time, ce_subject, ce_specversion, traceparent, correlationid, causationid,
            lineage, dlq_cause, dlq_topic, dlq_partition, dlq_offset, dlq_service, dlq_time, dlq_bytes, dlq_sha256
        )) <= 65536) NOT VALID;
