//! That a node knows the zone's secret, without telling it: HMAC-SHA256 over both hellos.
//!
//! Each hello has 32 random bytes, so a proof is good for one connection; it says who of both dialed, so that it cannot be
//! given back to who has sent it. It binds all that both have said of themselves. It does not bind what comes behind: who
//! can change bytes on their way can change frames.

use anabranch_wire::peer::hello::{NONCE_BYTES, PROOF_BYTES};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

use crate::zone_config::ZoneSecret;

/// What the hash is made for, so that it is good for nothing else.
const PURPOSE: &[u8] = b"anabranch peer proof 1";

/// Whose proof it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Dialed = 1,
    Listened = 2,
}

/// The bodies of both hellos, as they went over the connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hellos<'h> {
    pub(super) dialed: &'h [u8],
    pub(super) listened: &'h [u8],
}

impl Hellos<'_> {
    /// The proof of one side; nothing where there is no secret.
    pub(super) fn proof(&self, secret: Option<&ZoneSecret>, side: Side) -> Vec<u8> {
        let Some(secret) = secret else { return Vec::new() };
        let tag = hmac::sign(&key(secret), &self.message(side));
        tag.as_ref().to_vec()
    }

    /// Whether it is the proof of one side. Takes as long for a wrong one as for a right one.
    pub(super) fn holds(&self, secret: Option<&ZoneSecret>, side: Side, proof: &[u8]) -> bool {
        match secret {
            None => proof.is_empty(),
            Some(secret) => {
                proof.len() == PROOF_BYTES && hmac::verify(&key(secret), &self.message(side), proof).is_ok()
            }
        }
    }

    fn message(&self, side: Side) -> Vec<u8> {
        let mut message = PURPOSE.to_vec();
        message.push(side as u8);
        for hello in [self.dialed, self.listened] {
            message.extend_from_slice(&(hello.len() as u32).to_le_bytes());
            message.extend_from_slice(hello);
        }
        message
    }
}

fn key(secret: &ZoneSecret) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret.bytes())
}

/// A number that nobody can foresee.
///
/// # Errors
/// The operating system gives none.
pub(super) fn nonce() -> Result<[u8; NONCE_BYTES], &'static str> {
    let mut nonce = [0; NONCE_BYTES];
    let filled = SystemRandom::new().fill(&mut nonce);
    filled.map(|()| nonce).map_err(|_| "the operating system gives no random bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Hellos<'_> = Hellos { dialed: b"first", listened: b"second" };

    #[test]
    fn a_proof_is_good_for_its_side_its_hellos_and_its_secret_only() {
        let secret = ZoneSecret::new("sixteen bytes at least").expect("a secret");
        let other = ZoneSecret::new("sixteen bytes at leasT").expect("a secret");
        let proof = BOTH.proof(Some(&secret), Side::Dialed);
        assert_eq!(proof.len(), PROOF_BYTES);
        assert!(BOTH.holds(Some(&secret), Side::Dialed, &proof));
        assert!(!BOTH.holds(Some(&secret), Side::Listened, &proof), "it was given back");
        assert!(!BOTH.holds(Some(&other), Side::Dialed, &proof));
        let turned = Hellos { dialed: BOTH.listened, listened: BOTH.dialed };
        assert!(!turned.holds(Some(&secret), Side::Dialed, &proof));
        let shifted = Hellos { dialed: b"firsts", listened: b"econd" };
        assert!(!shifted.holds(Some(&secret), Side::Dialed, &proof));
        for at in 0..proof.len() {
            let mut wrong = proof.clone();
            wrong[at] ^= 1;
            assert!(!BOTH.holds(Some(&secret), Side::Dialed, &wrong), "{at}");
        }
        assert!(!BOTH.holds(Some(&secret), Side::Dialed, &[]));
        assert!(!BOTH.holds(None, Side::Dialed, &proof));
        assert!(BOTH.holds(None, Side::Dialed, &[]));
    }

    #[test]
    fn nonces_differ() {
        assert_ne!(nonce(), nonce());
    }
}
