-- A circuit breaker opens at once if the posting service refuses our credentials. Each worker says so beside the state
-- of its breaker, so that health and the page can name the reason: an operator has to act, and waiting does not help.
alter table workers add column credentials_refused boolean not null default false;
