//! What stands for the engine in a simulator without the feature `sql`.

use serde_json::Value;

use super::catalog::{Catalogs, Path};
use super::failure::Failure;
use super::table::Column;

/// Has no rows and knows no types.
#[derive(Debug, Clone, Default)]
pub(super) struct Engine;

impl Engine {
    #[allow(clippy::unused_self)]
    pub(super) fn sync(&mut self, _catalogs: &Catalogs) {}

    #[allow(clippy::unused_self, clippy::unnecessary_wraps)]
    pub(super) fn check(&self, _: &Path) -> Result<(), Failure> {
        Ok(())
    }

    #[allow(clippy::unused_self, clippy::unnecessary_wraps)]
    pub(super) fn columns(&self, _catalogs: &Catalogs, _text: &str) -> Result<Vec<Column>, Failure> {
        Ok(Vec::new())
    }

    #[allow(clippy::unused_self)]
    pub(super) fn query(&self, _: &Catalogs, text: &str) -> Result<(Vec<Column>, Vec<Vec<Value>>), Failure> {
        let what = format!("{text}; use a simulator with the feature `sql`, or `Gateway::define` what comes of it");
        Err(Failure::not_simulated(&what))
    }

    /// Returns whether the statement has been carried out to its end.
    #[allow(clippy::unused_self, clippy::unnecessary_wraps)]
    pub(super) fn insert(&mut self, _: &Catalogs, _table: &Path, _text: &str, _keeps: bool) -> Result<bool, Failure> {
        Ok(false)
    }
}
