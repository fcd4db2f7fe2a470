-- One business row and one job row in one transaction, as a service would write them itself. The server
-- generates the ids, which is faster for pgbench than parameters.
\set amount random(1, 9000000)
\set order random(1, 99999999)
BEGIN;
INSERT INTO business (id, amount, currency, description, occurred_at, source_account, destination_account, metadata) VALUES (gen_random_uuid(), :amount / 100.0, 'EUR', 'Invoice 00012345, goods of the spring collection, delivered to the warehouse', '2026-04-01T09:30:00Z', 'DE89370400440532013000', 'FR1420041010050500013M02606', '{"order_id":"00012345","channel":"web","customer":"a customer of the shop","warehouse":"one of several"}');
INSERT INTO jobs (id, kind, payload, run_at) VALUES (gen_random_uuid()::text, 'post', convert_to('{"order":' || :order || '}', 'UTF8'), now());
COMMIT;
