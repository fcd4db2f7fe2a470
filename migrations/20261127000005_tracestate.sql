-- The tracestate that came with a submission's traceparent (W3C Trace Context), so that the vendors of the client's
-- trace find their data again at the posting service.
alter table transactions add column tracestate text;

-- Not validated: every earlier row is null, and a scan would hold the table for as long as it takes.
alter table transactions add constraint transactions_tracestate_check
    check (tracestate is null or (traceparent is not null and octet_length(tracestate) between 1 and 512))
    not valid;
