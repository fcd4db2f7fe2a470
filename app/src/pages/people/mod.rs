//! The pages for people and their accounts: sign in, set a password, your account, users,
//! clients and their keys.
//!
//! Only the server renders them, as plain forms: they have no script, and add nothing to the page's WASM. The forms are
//! answered in `server/src/http/people`.

mod account;
mod clients;
mod document;
mod sign_in;
mod users;

pub use account::{Account, SessionRow, TotpStatus};
pub use clients::{ClientRow, Clients, KeyRow};
pub use document::{Frame, SignedInAs};
pub use sign_in::{SetPassword, SignIn};
pub use users::{UserRow, Users};
