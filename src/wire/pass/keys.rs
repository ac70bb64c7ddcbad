//! Keys of `[gateway]` that both dialects of `updatePass` have.

use crate::wire::key::{Key, Shape};
use crate::wire::setting::PATH_FORM;

pub const MERCHANT_ID: Key = Key::new("merchant_id", Shape::Text, "the merchant whose cards these are");
pub const MERCHANTS: Key = Key::new("merchants", Shape::Texts, "other merchants that rows may name in merchant_id");
pub const CLIENT_ID: Key = Key::new("client_id", Shape::Text, "the client's id, as the platform gave it");
pub const KEY_VERSION: Key =
    Key::new("key_version", Shape::Whole(0, u32::MAX as i64), "which of our uploaded keys signs");
pub const ALGORITHM: Key = Key::new("algorithm", Shape::Text, "the signature's algorithm as the header names it");
pub const PATH: Key = Key::new("path", Shape::Form(PATH_FORM), "the endpoint's path; it is signed");
pub const LOCALES: Key = Key::new("locales", Shape::Texts, "languages of the members of dataInfo, as zh_HK");
pub const REQUEST_TIME_FORMAT: Key =
    Key::new("request_time_format", Shape::Word(&["utc", "offset"]), "request-time as ...Z or as ...+08:00");
pub const DATA_NAMES_NUMBER: Key =
    Key::new("data_names_number", Shape::Texts, "names of data.<name> that are sent as JSON numbers");
pub const EXTRA: Key = Key::new("extra", Shape::Table, "members of the page's samples that its table lacks");
pub const ENCRYPTION: Key = Key::new("encryption", Shape::Table, "RSA_AES; off when absent, construction unconfirmed");
