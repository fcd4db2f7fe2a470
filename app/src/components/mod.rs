//! What several pages use: addresses, the header, forms and dialogs, and how states, amounts, times and text from
//! outside are shown.
//!
//! What only one page uses is in that page's folder under [`pages`](crate::pages).

pub mod address;
pub mod clock;
pub mod dialog;
pub mod error_message;
pub mod form;
pub mod header;
pub mod money;
pub mod outside_text;
pub mod page_context;
pub mod posting_bar;
pub mod reason_field;
pub mod short_id;
pub mod state_badge;
pub mod time_format;
pub mod timestamp;
