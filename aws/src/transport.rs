//! What every request of this crate needs before it is sent: profile, endpoint, certificates, proxy and limits.
//!
//! It exists so that the SDK's clients, signed requests and downloads leave this machine in the same way. It
//! never sends a request.

mod endpoints;
mod network;
mod profile;
mod proxies;
mod setup;

use std::time::Duration;

pub(crate) use endpoints::Endpoints;
pub(crate) use network::Network;
pub(crate) use profile::{Login, Profiles};
pub use setup::SetupError;
pub(crate) use setup::layers;

/// Attempts of one request; at most five, because a shard that fails comes again anyway.
pub(crate) const MAX_ATTEMPTS: u32 = 5;
/// How long a connection may take.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
