//! The rules of a stack: what its deployment lets requests ask for.
//!
//! The splitter applies them to every request before anything starts, `tagfleet submit` before anything is
//! sent, and the roles' policies apply them where IAM can express them. Nothing in this module makes a
//! request or reads the environment.

use super::budget::{LimitOf, RunLimit};
use super::request::{InvalidRequest, ValidRequest, invalid, is_limit};
use crate::address::Address;
use tagfleet_pipeline::run::StackKeys;

/// What a stack lets its requests ask for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// Buckets that models may be in besides `models/` of the stack's own.
    pub model_buckets: Vec<String>,
    /// Buckets that requests may take manifests from, besides the stack's own and their output's.
    pub manifest_buckets: Vec<String>,
    /// Who may be mailed; `None` if the stack sends no mail.
    pub recipients: Option<Recipients>,
    /// The most dollars that a run may cost.
    pub max_usd_per_run: Option<f64>,
    /// The most dollars that the executions of a day, UTC, may cost together.
    pub max_usd_per_day: Option<f64>,
}

/// The rules as the stack's parameters, outputs and functions' environment hold them.
#[derive(Clone, Copy, Debug)]
pub struct RuleTexts<'a> {
    /// Names with commas between.
    pub model_buckets: &'a str,
    /// Names of buckets.
    pub manifest_buckets: &'a str,
    /// Addresses and `*@` with a domain, with commas between; empty if the stack sends no mail.
    pub recipients: &'a str,
    /// Dollars; 0 for no limit.
    pub max_usd_per_run: &'a str,
    /// Dollars; 0 for no limit.
    pub max_usd_per_day: &'a str,
}

/// Addresses, and domains as `*@example.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipients(Vec<String>);

impl Recipients {
    /// Whether one of them is this address, letter by letter, as IAM compares it.
    #[must_use]
    pub fn contain(&self, address: &str) -> bool {
        self.0.iter().any(|allowed| match allowed.strip_prefix('*') {
            Some(domain) => address.len() > domain.len() && address.ends_with(domain),
            None => address == allowed,
        })
    }
}

impl Rules {
    /// Reads them.
    ///
    /// # Errors
    /// Names the limit that is not an amount of dollars.
    pub fn parse(texts: &RuleTexts<'_>) -> Result<Self, String> {
        let recipients = names(texts.recipients);
        Ok(Self {
            model_buckets: names(texts.model_buckets),
            manifest_buckets: names(texts.manifest_buckets),
            recipients: (!recipients.is_empty()).then_some(Recipients(recipients)),
            max_usd_per_run: dollars("MaxUsdPerRun", texts.max_usd_per_run)?,
            max_usd_per_day: dollars("MaxUsdPerDay", texts.max_usd_per_day)?,
        })
    }

    /// Whether a mail may go to this address.
    #[must_use]
    pub fn may_mail(&self, address: &str) -> bool {
        self.recipients.as_ref().is_some_and(|recipients| recipients.contain(address))
    }

    /// Refuses a request that asks for more than the stack of this bucket allows.
    ///
    /// # Errors
    /// One sentence that names the field, the rule and what to do.
    pub fn check(&self, valid: &ValidRequest, stack: &str) -> Result<(), InvalidRequest> {
        self.check_model(&valid.model, stack)?;
        self.check_manifest(valid, stack)?;
        if let Some(recipients) = &self.recipients
            && let Some(stranger) = valid.request.notify.iter().find(|address| !recipients.contain(address))
        {
            let allowed = recipients.0.join(", ");
            return Err(invalid(format!(
                "notify: this stack does not mail {stranger}, only its MailRecipients ({allowed}): leave it out, or \
                 deploy the stack with it"
            )));
        }
        match valid.request.max_usd {
            Some(max_usd) => self.check_limit("max_usd", max_usd).map_err(invalid),
            None => Ok(()),
        }
    }

    /// A user who may put a request must not run a model of their own: a model is a program that reads
    /// pictures.
    fn check_model(&self, model: &Address, stack: &str) -> Result<(), InvalidRequest> {
        if model.bucket == stack || self.model_buckets.contains(&model.bucket) {
            return Ok(());
        }
        Err(invalid(format!(
            "model: this stack takes no models from s3://{}: publish it with `tagfleet submit --model FOLDER`, or name the \
             bucket in the stack's ModelBuckets",
            model.bucket
        )))
    }

    /// The splitter can read what a request must not: whatever it reads becomes keys of rows.
    fn check_manifest(&self, valid: &ValidRequest, stack: &str) -> Result<(), InvalidRequest> {
        let Some(Address { bucket, .. }) = &valid.manifest else { return Ok(()) };
        if bucket == stack || *bucket == valid.output.bucket || self.manifest_buckets.contains(bucket) {
            return Ok(());
        }
        Err(invalid(format!(
            "manifest: this stack takes no manifests from s3://{bucket}: copy it to s3://{stack}/{}, or name the bucket in \
             the stack's ManifestBuckets",
            StackKeys::LISTS
        )))
    }

    /// Refuses a limit above the stack's; `what` names its place in the request.
    ///
    /// # Errors
    /// One sentence with both.
    pub fn check_limit(&self, what: &str, max_usd: f64) -> Result<(), String> {
        match self.max_usd_per_run {
            Some(most) if max_usd > most => Err(format!(
                "{what}: ${max_usd} is more than the ${most} that this stack lets a run cost (MaxUsdPerRun): ask for at \
                 most {most}"
            )),
            _ => Ok(()),
        }
    }

    /// The limit of a run that asks for `asked`: never more than the stack's.
    #[must_use]
    pub fn limit(&self, asked: Option<f64>) -> Option<RunLimit> {
        let own = asked.map(|max_usd| RunLimit { max_usd, of: LimitOf::Request });
        match self.max_usd_per_run {
            Some(most) if own.is_none_or(|own| own.max_usd > most) => {
                Some(RunLimit { max_usd: most, of: LimitOf::Stack })
            }
            _ => own,
        }
    }
}

/// The names of a list with commas between, as the stack's parameters and outputs have it.
#[must_use]
pub fn names(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn dollars(name: &str, text: &str) -> Result<Option<f64>, String> {
    let usd: f64 = if text.is_empty() { 0.0 } else { text.parse().unwrap_or(f64::NAN) };
    match usd {
        0.0 => Ok(None),
        usd if is_limit(usd) => Ok(Some(usd)),
        _ => Err(format!("{name} is {text:?}, which is not an amount of dollars")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const STACK: &str = "tagfleet-data";

    fn texts(max_usd_per_run: &str) -> RuleTexts<'_> {
        RuleTexts {
            model_buckets: "shared-models, more-models",
            manifest_buckets: "inventories",
            recipients: "me@example.org,*@example.com",
            max_usd_per_run,
            max_usd_per_day: "0",
        }
    }

    fn checked(more: &Value) -> Result<(), String> {
        let mut request = json!({
            "version": 1, "input": ["s3://shop/a/"], "model": "s3://tagfleet-data/models/m/",
        });
        for (field, value) in more.as_object().unwrap() {
            request[field] = value.clone();
        }
        let valid = ValidRequest::parse(request.to_string().as_bytes(), STACK).unwrap();
        let checked = Rules::parse(&texts("20")).unwrap().check(&valid, STACK);
        checked.map_err(|error| error.to_string())
    }

    #[test]
    fn what_the_stack_allows_passes() {
        for allowed in [
            json!({}),
            json!({"model": "s3://more-models/anywhere/m/"}),
            json!({"manifest": "s3://inventories/shop/photos/2026-11-30T01-00Z/manifest.json"}),
            json!({"manifest": "s3://tagfleet-data/lists/failed", "key_column": "photo"}),
            json!({"manifest": "s3://mine/r/", "output": "s3://mine/"}),
            json!({"notify": ["me@example.org", "ops@example.com"]}),
            json!({"max_usd": 20}),
        ] {
            assert_eq!(checked(&allowed), Ok(()), "{allowed}");
        }
    }

    #[test]
    fn what_it_does_not_allow_is_named() {
        let said: Vec<String> = [
            json!({"model": "s3://elsewhere/models/m/"}),
            json!({"model": "s3://shop/models/m/"}),
            json!({"manifest": "s3://shop/secrets.csv"}),
            json!({"notify": ["ops@example.com", "you@example.org"]}),
            json!({"max_usd": 20.01}),
        ]
        .iter()
        .map(|request| checked(request).unwrap_err())
        .collect();
        insta::assert_snapshot!(said.join("\n"), @"
        the request is wrong: model: this stack takes no models from s3://elsewhere: publish it with `tagfleet submit --model FOLDER`, or name the bucket in the stack's ModelBuckets
        the request is wrong: model: this stack takes no models from s3://shop: publish it with `tagfleet submit --model FOLDER`, or name the bucket in the stack's ModelBuckets
        the request is wrong: manifest: this stack takes no manifests from s3://shop: copy it to s3://tagfleet-data/lists/, or name the bucket in the stack's ManifestBuckets
        the request is wrong: notify: this stack does not mail you@example.org, only its MailRecipients (me@example.org, *@example.com): leave it out, or deploy the stack with it
        the request is wrong: max_usd: $20.01 is more than the $20 that this stack lets a run cost (MaxUsdPerRun): ask for at most 20
        ");
    }

    #[test]
    fn an_address_is_compared_as_iam_compares_it() {
        let recipients = Recipients(names("me@example.org,*@example.com"));
        for allowed in ["me@example.org", "a@example.com", "a.b+c@example.com"] {
            assert!(recipients.contain(allowed), "{allowed}");
        }
        for stranger in [
            "ME@example.org",
            "a@Example.com",
            "a@sub.example.com",
            "a@example.com.evil.org",
            "a@notexample.com",
            "@example.com",
            "xme@example.org",
            "*@example.org",
            "",
        ] {
            assert!(!recipients.contain(stranger), "{stranger}");
        }
    }

    #[test]
    fn without_a_sender_nobody_is_mailed_and_nobody_is_refused() {
        let none = RuleTexts { recipients: "", ..texts("0") };
        let rules = Rules::parse(&none).unwrap();
        assert!(!rules.may_mail("me@example.org") && rules.recipients.is_none());
    }

    #[test]
    fn the_lower_limit_counts() {
        let rules = Rules::parse(&texts("20")).unwrap();
        let limit = |asked| rules.limit(asked).map(|limit| (limit.max_usd, limit.of));
        assert_eq!(limit(None), Some((20.0, LimitOf::Stack)));
        assert_eq!(limit(Some(50.0)), Some((20.0, LimitOf::Stack)));
        assert_eq!(limit(Some(5.0)), Some((5.0, LimitOf::Request)));
        assert_eq!(Rules::default().limit(None), None);
        assert_eq!(Rules::default().limit(Some(5.0)).map(|limit| limit.of), Some(LimitOf::Request));
    }

    #[test]
    fn what_is_not_an_amount_is_refused() {
        for wrong in ["-1", "many", "NaN", "inf", "1e999"] {
            assert!(Rules::parse(&texts(wrong)).unwrap_err().contains("MaxUsdPerRun"), "{wrong}");
        }
        for none in ["", "0", "0.0"] {
            assert_eq!(Rules::parse(&texts(none)).unwrap().max_usd_per_run, None, "{none}");
        }
    }
}
