//! Would a report's mail be sent? The sender must be confirmed, and in SES's sandbox every recipient too.

use serde_json::Value;
use tagfleet_aws::ServiceError;
use tagfleet_aws::signed::{Call, Service, path_piece};
use tagfleet_pipeline::bucket::Kind;

use super::super::stack::FleetStack;
use super::finding::Finding;
use super::{rest, unasked};

const CHECK: &str = "mail";

pub(super) async fn check(stack: &FleetStack) -> Vec<Finding> {
    let Some(sender) = &stack.outputs.sender else {
        return vec![Finding::ok(CHECK, "the stack has no Sender: no mail is sent")];
    };
    let path = format!("/v2/email/identities/{}", path_piece(sender));
    let call = |action| Call { service: Service::SES, action, resource: sender };
    let identity = rest(stack, call("GetEmailIdentity"), &path, None).await;
    let account = rest(stack, call("GetAccount"), "/v2/email/account", None).await;
    vec![judge_identity(sender, identity), judge_account(account)]
}

fn judge_identity(sender: &str, answer: Result<Value, ServiceError>) -> Finding {
    let to_do = "click the link in the mail that SES sent there, or deploy again to get another";
    match answer {
        Ok(identity) if identity["VerifiedForSendingStatus"] == true => {
            Finding::ok(CHECK, format!("SES sends mails of {sender}"))
        }
        Ok(_) => Finding::warn(CHECK, format!("{sender} is not verified: SES sends no mail from it"), to_do),
        Err(error) if error.kind == Kind::Missing => Finding::warn(
            CHECK,
            format!("SES does not know {sender}: it sends no mail from this address"),
            to_do,
        ),
        Err(error) => unasked(CHECK, &error),
    }
}

fn judge_account(answer: Result<Value, ServiceError>) -> Finding {
    let account = match answer {
        Ok(account) => account,
        Err(error) => return unasked(CHECK, &error),
    };
    if account["SendingEnabled"] == false {
        return Finding::warn(
            CHECK,
            "SES has stopped this account's mails",
            "see the SES console for the reason",
        );
    }
    match account["ProductionAccessEnabled"].as_bool() {
        Some(true) => Finding::ok(CHECK, "the account is out of SES's sandbox"),
        Some(false) => Finding::warn(
            CHECK,
            "the account is in the SES sandbox: only verified recipients get mail",
            "verify each recipient, or ask SES for production access",
        ),
        None => unasked(CHECK, &"SES does not report whether the account is in its sandbox"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::finding::text;
    use super::*;

    fn refused(kind: Kind, code: &str) -> ServiceError {
        ServiceError {
            kind,
            service: "SES",
            action: "GetEmailIdentity".to_owned(),
            resource: "me@example.com".to_owned(),
            code: code.to_owned(),
            detail: format!("{code}: no message"),
        }
    }

    #[test]
    fn the_sender() {
        let judge = |asked| judge_identity("me@example.com", asked);
        let findings = [
            judge(Ok(json!({"IdentityType": "EMAIL_ADDRESS", "VerifiedForSendingStatus": true}))),
            judge(Ok(json!({"VerifiedForSendingStatus": false}))),
            judge(Err(refused(Kind::Missing, "NotFoundException"))),
            judge(Err(refused(Kind::Denied, "AccessDeniedException"))),
        ];
        insta::assert_snapshot!(text(&findings), @r"
        ok    mail         SES sends mails of me@example.com
        WARN  mail         me@example.com is not verified: SES sends no mail from it
                           -> click the link in the mail that SES sent there, or deploy again to get another
        WARN  mail         SES does not know me@example.com: it sends no mail from this address
                           -> click the link in the mail that SES sent there, or deploy again to get another
        WARN  mail         could not be checked: SES GetEmailIdentity: me@example.com: AccessDeniedException: no message
                           -> allow the action, or check by hand
        the fleet can run; 3 warnings
        ");
    }

    #[test]
    fn the_account() {
        let account = |production: bool, sending: bool| {
            judge_account(Ok(json!({"ProductionAccessEnabled": production, "SendingEnabled": sending})))
        };
        let findings =
            [account(true, true), account(false, true), account(true, false), judge_account(Ok(json!({})))];
        insta::assert_snapshot!(text(&findings), @r"
        ok    mail         the account is out of SES's sandbox
        WARN  mail         the account is in the SES sandbox: only verified recipients get mail
                           -> verify each recipient, or ask SES for production access
        WARN  mail         SES has stopped this account's mails
                           -> see the SES console for the reason
        WARN  mail         could not be checked: SES does not report whether the account is in its sandbox
                           -> allow the action, or check by hand
        the fleet can run; 3 warnings
        ");
    }
}
