//! RSA signatures over bytes.

/// Signs.
pub struct Signer;
/// Verifies.
pub struct Verifier;
