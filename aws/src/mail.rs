//! Mails, sent with Amazon SES.
//!
//! Other modules make the text; this one does not read it. Each recipient gets a mail of its own, because SES
//! refuses a whole mail if it refuses one recipient, as its sandbox does. A mail that may not have been sent
//! may be sent again: twice is better than never.

use serde_json::{Value, json};

use crate::Aws;
use crate::error::ServiceError;
use crate::signed::{Call, Service};

/// A mail.
#[derive(Clone, Copy, Debug)]
pub struct OutgoingMail<'a> {
    /// A verified address.
    pub sender: &'a str,
    /// One or more; none sees the others.
    pub recipients: &'a [String],
    /// One line.
    pub subject: &'a str,
    /// For readers that show no HTML.
    pub text: &'a str,
    /// The same as HTML.
    pub html: &'a str,
    /// The JPEGs that its HTML names as `cid:` and their ids.
    pub pictures: &'a [InlinePicture<'a>],
}

/// A picture in a mail.
#[derive(Clone, Copy, Debug)]
pub struct InlinePicture<'a> {
    /// 1 to 78 ASCII letters, digits and hyphens.
    pub id: &'a str,
    /// The bytes in base64.
    pub jpeg: &'a str,
}

/// A mail that was sent to at least one recipient.
#[derive(Clone, Debug)]
pub struct MailOutcome {
    /// How many recipients it was sent to.
    pub sent: usize,
    /// Why it was not sent to others, each once.
    pub refused: Vec<ServiceError>,
}

impl Aws {
    /// Sends a mail to each of its recipients.
    ///
    /// # Errors
    /// The last one if it was sent to no recipient, see [`ServiceError`]: an address that is not verified,
    /// the sandbox.
    pub async fn send_mail(&self, mail: &OutgoingMail<'_>) -> Result<MailOutcome, ServiceError> {
        let (mut sent, mut refused) = (0, Vec::new());
        for recipient in mail.recipients {
            match self.send_to(recipient, mail).await {
                Ok(()) => sent += 1,
                Err(error) => refused.push(error),
            }
        }
        match refused.pop_if(|_| sent == 0) {
            Some(error) => Err(error),
            None => Ok(MailOutcome { sent, refused }),
        }
    }

    async fn send_to(&self, recipient: &str, mail: &OutgoingMail<'_>) -> Result<(), ServiceError> {
        let content = |text: &str| json!({"Data": text, "Charset": "UTF-8"});
        let mut simple = json!({
            "Subject": content(mail.subject),
            "Body": {"Text": content(mail.text), "Html": content(mail.html)},
        });
        if !mail.pictures.is_empty() {
            simple["Attachments"] = mail.pictures.iter().map(attachment).collect();
        }
        let body = json!({
            "FromEmailAddress": mail.sender,
            "Destination": {"ToAddresses": [recipient]},
            "Content": {"Simple": simple},
        });
        let call = Call { service: Service::SES, action: "SendEmail", resource: recipient };
        self.rest(call, "POST", "/v2/email/outbound-emails", Some(&body)).await?;
        Ok(())
    }
}

/// As SES wants it: <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_Attachment.html>.
fn attachment(picture: &InlinePicture<'_>) -> Value {
    json!({
        "FileName": format!("{}.jpg", picture.id),
        "ContentType": "image/jpeg",
        "ContentDisposition": "INLINE",
        "ContentId": picture.id,
        "ContentTransferEncoding": "BASE64",
        "RawContent": picture.jpeg,
    })
}
