//! Parses the value of a setting that may hold a secret: clap's own parsers repeat a bad value in their error message.

use std::{ffi::OsStr, fmt::Display, marker::PhantomData, str::FromStr};

use clap::{Arg, Command, Error, builder::TypedValueParser, error::ErrorKind};

/// The parser of a setting's value, which is a `T`.
#[derive(Debug)]
pub struct SecretParser<T> {
    setting: &'static str,
    value: PhantomData<fn() -> T>,
}

impl<T> SecretParser<T> {
    /// The parser of the setting with this name.
    pub const fn new(setting: &'static str) -> Self {
        Self { setting, value: PhantomData }
    }
}

impl<T> Clone for SecretParser<T> {
    fn clone(&self) -> Self {
        Self::new(self.setting)
    }
}

impl<T> TypedValueParser for SecretParser<T>
where
    T: FromStr<Err: Display> + Clone + Send + Sync + 'static,
{
    type Value = T;

    fn parse_ref(&self, command: &Command, _: Option<&Arg>, value: &OsStr) -> Result<T, Error> {
        value.to_str().unwrap_or_default().parse().map_err(|error: T::Err| {
            let message = format!("{}: {error}\n", self.setting);
            Error::raw(ErrorKind::ValueValidation, message).with_cmd(command)
        })
    }
}
