//! Mails, sent with Amazon SES.
//!
//! The text is made elsewhere; nothing here reads it. A mail that could not be told from a sent one (no answer came) is
//! sent again: twice is better than never.

use serde_json::json;

use crate::Aws;
use crate::error::ServiceError;
use crate::signed::{Call, Service};

/// A mail.
#[derive(Clone, Copy, Debug)]
pub struct OutgoingMail<'a> {
    /// A verified address.
    pub sender: &'a str,
    /// At most 50.
    pub recipients: &'a [String],
    /// One line.
    pub subject: &'a str,
    /// For readers that show no HTML.
    pub text: &'a str,
    /// The same as HTML.
    pub html: &'a str,
}

impl Aws {
    /// Sends a mail.
    ///
    /// # Errors
    /// See [`ServiceError`]: an address that is not verified, the sandbox.
    pub async fn send_mail(&self, mail: &OutgoingMail<'_>) -> Result<(), ServiceError> {
        let content = |text: &str| json!({"Data": text, "Charset": "UTF-8"});
        let body = json!({
            "FromEmailAddress": mail.sender,
            "Destination": {"ToAddresses": mail.recipients},
            "Content": {"Simple": {
                "Subject": content(mail.subject),
                "Body": {"Text": content(mail.text), "Html": content(mail.html)},
            }},
        });
        let call = Call { service: Service::SES, action: "SendEmail", thing: mail.sender };
        self.rest(call, "POST", "/v2/email/outbound-emails", Some(&body)).await?;
        Ok(())
    }
}
