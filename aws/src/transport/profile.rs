//! The AWS configuration files, as far as tagfleet has to read them itself.
//!
//! The SDK reads credentials, regions and endpoints. It does not read `ca_bundle` and S3's
//! `addressing_style`, passes over a profile that does not exist, and assumes a role that wants an MFA code
//! without one. This module closes these gaps. It never reads or keeps a secret.

use std::collections::BTreeSet;

use aws_config::profile::{self, ProfileSet};
use aws_runtime::env_config::file::EnvConfigFiles;
use aws_types::os_shim_internal::{Env, Fs};

use super::setup::SetupError;

/// Names an explicit profile, as `--profile` does, and as old tools do.
const PROFILE_VARIABLES: [&str; 2] = ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"];

/// How a profile gets its credentials: the first of these that it states, in the AWS CLI's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Login {
    /// `sso_session` or `sso_start_url`: `aws sso login` gets the token.
    Sso,
    /// `login_session`: `aws login` gets the token.
    Console,
    /// `credential_process`: a program prints the credentials.
    Process,
    /// `role_arn`: another identity assumes this role.
    Role(String),
    /// Keys, or nothing: the machine's own credentials.
    Other,
}

/// The files, read once, and the profile that is selected.
#[derive(Clone, Debug)]
pub(crate) struct Profiles {
    set: ProfileSet,
    /// The selected profile's name.
    name: String,
    /// The profile was named by an option, not by the environment or by default.
    pub(crate) is_explicit: bool,
}

impl Profiles {
    /// Reads the files and selects `named`, or what the environment names, or `default`.
    ///
    /// # Errors
    /// If a file cannot be read, or the profile that was named does not exist.
    pub(crate) async fn load(named: Option<&str>) -> Result<Self, SetupError> {
        Self::load_from(&Fs::real(), &Env::real(), named).await
    }

    async fn load_from(fs: &Fs, env: &Env, named: Option<&str>) -> Result<Self, SetupError> {
        let selected = named.map(|name| name.to_owned().into());
        let set = profile::load(fs, env, &EnvConfigFiles::default(), selected).await;
        let set = set
            .map_err(|error| SetupError::new("the AWS configuration files cannot be read").because(&error))?;
        let from_environment = || PROFILE_VARIABLES.iter().find_map(|name| env.get(name).ok());
        let wanted = named.map(str::to_owned).or_else(from_environment).filter(|name| !name.is_empty());
        let name = wanted.clone().unwrap_or_else(|| "default".to_owned());
        let profiles = Self { set, name, is_explicit: named.is_some() };
        match wanted {
            Some(_) if profiles.set.get_profile(&profiles.name).is_none() => Err(profiles.missing()),
            _ => Ok(profiles),
        }
    }

    fn missing(&self) -> SetupError {
        let known: BTreeSet<&str> = self.set.profiles().collect();
        let known: Vec<&str> = known.into_iter().collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        SetupError::new(format!(
            "the AWS configuration files have no profile {:?} (profiles: {known}): check --profile and AWS_PROFILE",
            self.name
        ))
    }

    /// The selected profile's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A setting of the selected profile.
    pub(crate) fn get(&self, setting: &str) -> Option<&str> {
        self.of(&self.name, setting)
    }

    /// A setting within the selected profile's `s3 =`, such as `addressing_style`.
    pub(crate) fn s3_setting(&self, setting: &str) -> Option<&str> {
        let nested = self.get("s3")?;
        let settings = nested.lines().filter_map(|line| line.split_once('='));
        settings
            .map(|(name, value)| (name.trim(), value.trim()))
            .find_map(|(name, value)| (name == setting).then_some(value))
    }

    /// How the selected profile logs in.
    pub(crate) fn login(&self) -> Login {
        let has = |setting| self.get(setting).is_some_and(|value| !value.is_empty());
        match self.get("role_arn") {
            Some(role) => Login::Role(role.to_owned()),
            None if has("sso_session") || has("sso_start_url") => Login::Sso,
            None if has("login_session") => Login::Console,
            None if has("credential_process") => Login::Process,
            None => Login::Other,
        }
    }

    /// The profile whose login is needed: the selected one, or the one at the end of its `source_profile`
    /// chain.
    pub(crate) fn source(&self) -> Self {
        let name = self.chain().last().map_or_else(|| self.name.clone(), |name| (*name).to_owned());
        Self { set: self.set.clone(), name, is_explicit: self.is_explicit }
    }

    /// The first profile of the chain that wants an MFA code to assume its role.
    pub(crate) fn asking_for_mfa(&self) -> Option<&str> {
        let asks = |name: &&str| self.of(name, "role_arn").is_some() && self.of(name, "mfa_serial").is_some();
        self.chain().into_iter().find(asks)
    }

    /// The selected profile, its `source_profile`, that one's, and so on; each once.
    fn chain(&self) -> Vec<&str> {
        let mut chain = vec![self.name.as_str()];
        while let Some(next) = chain.last().and_then(|name| self.of(name, "source_profile")) {
            if chain.contains(&next) || self.set.get_profile(next).is_none() {
                break;
            }
            chain.push(next);
        }
        chain
    }

    fn of(&self, profile: &str, setting: &str) -> Option<&str> {
        self.set.get_profile(profile)?.get(setting)
    }
}

#[cfg(test)]
mod tests;
