//! The engine: submit, claim, verify, post, finish, query. PostgreSQL and the posting client.
