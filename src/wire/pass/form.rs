//! What parts the dialects of `updatePass`: rows and bodies. Endpoint, signatures, replies and codes are the same for
//! all of them, and for their siblings on the vendor's pages (tickets, gift cards): one more is one more [`Form`].

use super::Endpoint;
use super::extra::{self, Extra};
use crate::model::{Delta, Reading};
use crate::wire::crypto::{Signer, Verifier};
use crate::wire::{
    Answer, Call, CallFault, Column, ColumnFault, Columns, Dialect, Reply, Request, RowReader, RowRules,
};

/// Rows and bodies of one dialect.
pub trait Form: Send + Sync {
    /// The word in the job file.
    const NAME: &'static str;
    /// The canonical columns.
    const COLUMNS: Columns;

    /// What is known of one of them.
    fn column(name: &str) -> Option<Column>;

    /// The endpoint, with its settings.
    fn endpoint(&self) -> &Endpoint;

    /// The members that the job adds.
    fn extras(&self) -> &[Extra];

    /// See [`Dialect::reader`].
    fn reader(&self, columns: &[String], rules: &RowRules) -> Result<Box<dyn RowReader>, ColumnFault>;

    /// See [`Dialect::body`].
    fn write(&self, delta: &Delta, drop: u64) -> Vec<u8>;

    /// Reads a body that was admitted, as a gateway that goes by the page does.
    fn read(&self, body: &[u8], sent_at: String) -> Result<Call, CallFault>;

    /// What is known of a column, those of the job's own members included.
    fn known(&self, name: &str) -> Option<Column> {
        Self::column(name).or_else(|| extra::column(self.extras(), name))
    }
}

/// A [`Form`] at its endpoint.
pub struct Pass<F>(pub F);

impl<F: Form> Dialect for Pass<F> {
    fn name(&self) -> &'static str {
        F::NAME
    }

    fn signs_times(&self) -> bool {
        true
    }

    fn client(&self) -> &str {
        self.0.endpoint().client()
    }

    fn path(&self) -> &str {
        self.0.endpoint().path()
    }

    fn column(&self, name: &str) -> Option<Column> {
        self.0.known(name)
    }

    fn columns(&self) -> Columns {
        F::COLUMNS
    }

    fn card_column(&self) -> &'static str {
        "pass_id"
    }

    fn reader(&self, columns: &[String], rules: &RowRules) -> Result<Box<dyn RowReader>, ColumnFault> {
        self.0.reader(columns, rules)
    }

    fn body(&self, delta: &Delta, drop: u64) -> Vec<u8> {
        self.0.write(delta, drop)
    }

    fn request(&self, body: &[u8], now_ms: i64, signer: &Signer) -> Request {
        self.0.endpoint().request(body, now_ms, signer)
    }

    fn reply(&self, reply: &Reply, keys: &[Verifier]) -> Reading {
        self.0.endpoint().reply(reply, keys)
    }

    fn read_call(&self, request: &Request, key: &Verifier) -> Result<Call, CallFault> {
        let (sent_at, body) = self.0.endpoint().admit(request, key)?;
        self.0.read(&body, sent_at)
    }

    fn write_reply(&self, asked: &Request, answer: &Answer, now_ms: i64, signer: Option<&Signer>) -> Reply {
        self.0.endpoint().write_reply(asked, answer, now_ms, signer)
    }
}
