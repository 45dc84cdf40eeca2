//! Profiles of every kind, from files in memory.

use super::*;

const CONFIG: &str = "
[default]
region = eu-central-1

[sso-session corp]
sso_start_url = https://corp.example/start
sso_region = eu-central-1

[profile corp]
sso_session = corp
sso_account_id = 123456789012
sso_role_name = Reader

[profile old-sso]
sso_start_url = https://corp.example/start

[profile console]
login_session = arn:aws:iam::123456789012:user/ann

[profile program]
credential_process = /usr/bin/true

[profile role]
role_arn = arn:aws:iam::123456789012:role/reader
source_profile = corp

[profile careful]
role_arn = arn:aws:iam::123456789012:role/admin
source_profile = default
mfa_serial = arn:aws:iam::123456789012:mfa/ann

[profile through]
role_arn = arn:aws:iam::123456789012:role/other
source_profile = careful

[profile loop]
role_arn = arn:aws:iam::123456789012:role/loop
source_profile = loop

[profile minio]
ca_bundle = /etc/corp.pem
s3 =
  addressing_style = virtual
  max_concurrent_requests = 20
";

async fn load(named: Option<&str>, variables: &[(&str, &str)]) -> Result<Profiles, SetupError> {
    let fs = Fs::from_slice(&[("/config", CONFIG)]);
    let files = [("AWS_CONFIG_FILE", "/config"), ("AWS_SHARED_CREDENTIALS_FILE", "/none")];
    let env = Env::from_slice(&[&files, variables].concat());
    Profiles::load_from(&fs, &env, named).await
}

async fn named(name: &str) -> Profiles {
    load(Some(name), &[]).await.unwrap()
}

#[tokio::test]
async fn a_profile_says_how_it_logs_in() {
    let role = Login::Role("arn:aws:iam::123456789012:role/reader".to_owned());
    let kinds = [
        ("default", Login::Other),
        ("corp", Login::Sso),
        ("old-sso", Login::Sso),
        ("console", Login::Console),
        ("program", Login::Process),
        ("role", role),
    ];
    for (name, login) in kinds {
        assert_eq!(named(name).await.login(), login, "{name}");
    }
    assert_eq!(named("role").await.source().login(), Login::Sso);
}

#[tokio::test]
async fn a_profile_that_does_not_exist_is_an_error_that_lists_those_that_do() {
    for variables in [&[("AWS_PROFILE", "nope")][..], &[("AWS_DEFAULT_PROFILE", "nope")]] {
        assert!(load(None, variables).await.is_err());
    }
    let error = load(Some("nope"), &[]).await.unwrap_err().to_string();
    assert!(error.contains("no profile \"nope\"") && error.contains("corp, default"), "{error}");
    assert_eq!(load(None, &[]).await.unwrap().name(), "default");
}

#[tokio::test]
async fn an_mfa_code_is_noticed_anywhere_in_the_chain() {
    assert_eq!(named("careful").await.asking_for_mfa(), Some("careful"));
    assert_eq!(named("through").await.asking_for_mfa(), Some("careful"));
    for without in ["role", "default", "loop"] {
        assert_eq!(named(without).await.asking_for_mfa(), None, "{without}");
    }
}

#[tokio::test]
async fn nested_settings_are_read() {
    let profile = named("minio").await;
    assert_eq!(profile.get("ca_bundle"), Some("/etc/corp.pem"));
    assert_eq!(profile.s3_setting("addressing_style"), Some("virtual"));
    assert_eq!(profile.s3_setting("use_accelerate_endpoint"), None);
}
