//! Every way to log in to AWS, with fakes of the services that issue credentials. The listing of a bucket
//! must be signed by the right identity, and an absent login must be named with its remedy.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use tagfleet_tests::command::{Ran, run, tagfleet};
use tagfleet_tests::fake_server::{FakeServer, Reply, Request};
use tempfile::TempDir;

/// SHA-1 of the session's name, `corp`, and of the start URL of `old-sso`: the names of the AWS CLI's token
/// files.
const SSO_SESSION: &str = "ee0bfd2552fbd840c02cc48b6e823320543c450f";
const SSO_START_URL: &str = "103c764598c7bfb84492cce4b625216b27775ddd";
/// SHA-256 of the ARN of `login_session`.
const CONSOLE_SESSION: &str = "143b1fc18f5ca9bb89e81d9a77fe53029e237039039ccab734b6fb08284f7780";
const LATER: &str = "2099-01-01T00:00:00Z";
/// Generated for this test. It gives access to nothing.
const DPOP_KEY: &str = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIGuu/GphWs2pRImgYsoKrZlit37u8xwxUmAP8gLoWBqqoAoGCCqGSM49\nAwEHoUQDQgAEo6WyQtHBAEA+93UGtZ+ES3sDG0JjDvuCTPp5dxRlBtulCwjIt4Cr\nPWoaLA1zhuelHH/5TIiKvswdT2DQ5OfxhA==\n-----END EC PRIVATE KEY-----\n";
const CONFIG: &str = "
[default]
region = eu-central-1

[sso-session corp]
sso_start_url = https://corp.example/start
sso_region = eu-central-1
sso_registration_scopes = sso:account:access

[profile sso]
sso_session = corp
sso_account_id = 123456789012
sso_role_name = Reader

[profile old-sso]
sso_start_url = https://old.example/start
sso_region = eu-central-1
sso_account_id = 123456789012
sso_role_name = Reader

[profile console]
login_session = arn:aws:iam::123456789012:user/ann

[profile role]
role_arn = arn:aws:iam::123456789012:role/reader
source_profile = keys

[profile role-by-sso]
role_arn = arn:aws:iam::123456789012:role/reader
source_profile = sso

[profile role-of-task]
role_arn = arn:aws:iam::123456789012:role/reader
credential_source = EcsContainer

[profile careful]
role_arn = arn:aws:iam::123456789012:role/admin
source_profile = keys
mfa_serial = arn:aws:iam::123456789012:mfa/ann

[profile empty]
output = json
";
const CREDENTIALS: &str = "
[keys]
aws_access_key_id = AKIAFILE
aws_secret_access_key = secret
";

/// A home folder with configuration files, and a fake of all services of AWS.
struct Fixture {
    home: TempDir,
    aws: FakeServer,
}

impl Fixture {
    fn new() -> Self {
        let fixture = Self { home: tempfile::tempdir().unwrap(), aws: FakeServer::start(answer) };
        fixture.write(".aws/config", CONFIG);
        fixture.write(".aws/credentials", CREDENTIALS);
        fixture
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.home.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn add_profile(&self, text: &str) {
        self.write(".aws/config", &format!("{CONFIG}\n{text}"));
    }

    /// Writes the token file of `aws sso login`.
    fn sso_token(&self, hash: &str, expires: &str) {
        let token = serde_json::json!({
            "startUrl": "https://corp.example/start", "region": "eu-central-1", "accessToken": "token", "expiresAt": expires,
        });
        self.write(&format!(".aws/sso/cache/{hash}.json"), &token.to_string());
    }

    /// Writes the token file of `aws login`.
    fn console_token(&self, expires: &str) {
        let token = serde_json::json!({
            "accessToken": {
                "accessKeyId": "ASIACONSOLE", "secretAccessKey": "s", "sessionToken": "t", "accountId": "123456789012",
                "expiresAt": expires,
            },
            "tokenType": "aws_sigv4", "refreshToken": "r", "clientId": "arn:aws:signin:::devtools/same-device",
            "dpopKey": DPOP_KEY,
        });
        self.write(&format!(".aws/login/cache/{CONSOLE_SESSION}.json"), &token.to_string());
    }

    fn list(&self, arguments: &[&str]) -> Command {
        self.command(
            ["run", "s3://shop/p/", "--model", "demo/model", "--out", "/nowhere", "--dry-run"],
            arguments,
        )
    }

    fn command<const N: usize>(&self, command: [&str; N], arguments: &[&str]) -> Command {
        let mut command = tagfleet(command);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
            command.env_remove(name);
        }
        command.args(arguments).env("HOME", self.home.path()).env("AWS_EC2_METADATA_DISABLED", "true");
        for service in ["S3", "STS", "SSO", "SSO_OIDC", "SIGNIN", "CLOUDFORMATION"] {
            command.env(format!("AWS_ENDPOINT_URL_{service}"), self.aws.url());
        }
        command
    }

    /// The access keys that signed the listings.
    fn listed_by(&self) -> Vec<String> {
        let listings = self.aws.requests().into_iter().filter(|request| request.path.contains("list-type=2"));
        let mut keys: Vec<String> = listings.map(|request| request.access_key().to_owned()).collect();
        keys.dedup();
        keys
    }

    fn count(&self, path: &str) -> usize {
        self.aws
            .requests()
            .iter()
            .filter(|request| request.path.contains(path) || request.body.contains(path))
            .count()
    }
}

fn answer(request: &Request) -> Option<Reply> {
    if request.path.contains("list-type=2") {
        return Some(Reply::ok(
            "<ListBucketResult><Contents><Key>p/a.jpg</Key><Size>3</Size><ETag>\"e\"</ETag></Contents></ListBucketResult>",
        ));
    }
    if request.path.starts_with("/federation/credentials") {
        let keys = r#"{"accessKeyId":"ASIASSO","secretAccessKey":"s","sessionToken":"t","expiration":4102444800000}"#;
        return Some(match request.header("x-amz-sso_bearer_token") {
            "token" => Reply::ok(format!("{{\"roleCredentials\":{keys}}}")),
            _ => Reply {
                status: 401,
                body: "{\"message\":\"Session token not found or invalid\"}".to_owned(),
                ..Reply::default()
            },
        });
    }
    if request.path == "/task" || request.path.ends_with("security-credentials/machine") {
        let key = if request.path == "/task" { "ASIATASK" } else { "ASIAMACHINE" };
        let token = serde_json::json!({
            "Code": "Success", "AccessKeyId": key, "SecretAccessKey": "s", "Token": "t", "Expiration": LATER,
            "LastUpdated": LATER, "Type": "AWS-HMAC",
        });
        return Some(Reply::ok(token.to_string()));
    }
    match request.path.as_str() {
        "/latest/api/token" => Some(Reply {
            status: 200,
            headers: vec![("x-aws-ec2-metadata-token-ttl-seconds", "21600".to_owned())],
            body: "token".to_owned(),
            ..Reply::default()
        }),
        path if path.trim_end_matches('/').ends_with("security-credentials") => Some(Reply::ok("machine")),
        _ if request.body.contains("Action=AssumeRole") => Some(assumed(&request.body)),
        _ => None,
    }
}

fn assumed(body: &str) -> Reply {
    let action = if body.contains("WithWebIdentity") { "AssumeRoleWithWebIdentity" } else { "AssumeRole" };
    Reply::ok(format!(
        "<{action}Response xmlns='https://sts.amazonaws.com/doc/2011-06-15/'><{action}Result><Credentials><AccessKeyId>ASIA{}</AccessKeyId>\
         <SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>{LATER}</Expiration></Credentials>\
         </{action}Result></{action}Response>",
        action.to_uppercase()
    ))
}

fn signs(fixture: &Fixture, command: &mut Command, key: &str) {
    let ran = run(command);
    assert_eq!(ran.code, Some(0), "{key}: {ran:?}");
    assert_eq!(fixture.listed_by(), [key], "{ran:?}");
}

/// Checks for a one-line error with exit code 2, whose details are printed only with `-v`.
fn refuses(command: &mut Command, remedy: &str) -> Ran {
    let ran = run(command);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    let error = ran.stderr.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
    assert!(error.contains(remedy), "{remedy:?} is not in {ran:?}");
    assert!(error.len() < 300, "{error}");
    ran
}

#[test]
fn keys_of_the_environment_and_of_a_file_are_used() {
    let fixture = Fixture::new();
    let mut command = fixture.list(&[]);
    command.env("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT").env("AWS_SECRET_ACCESS_KEY", "s");
    signs(&fixture, &mut command, "AKIAENVIRONMENT");
    let fixture = Fixture::new();
    signs(&fixture, fixture.list(&[]).env("AWS_PROFILE", "keys"), "AKIAFILE");
}

#[test]
fn a_named_profile_comes_before_keys_of_the_environment() {
    let fixture = Fixture::new();
    let mut command = fixture.list(&["--profile", "keys"]);
    command.env("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT").env("AWS_SECRET_ACCESS_KEY", "s");
    signs(&fixture, &mut command, "AKIAFILE");
}

#[test]
fn both_forms_of_sso_are_used() {
    for (profile, cached) in [("sso", SSO_SESSION), ("old-sso", SSO_START_URL)] {
        let fixture = Fixture::new();
        fixture.sso_token(cached, LATER);
        signs(&fixture, &mut fixture.list(&["--profile", profile]), "ASIASSO");
        assert_eq!(fixture.count("/federation/credentials"), 1, "one request for all listings");
    }
}

#[test]
fn an_sso_login_that_is_missing_or_expired_names_the_command() {
    let fixture = Fixture::new();
    let remedy = "run `aws sso login --profile sso`";
    let ran = refuses(&mut fixture.list(&["--profile", "sso"]), remedy);
    assert!(!ran.stderr.contains("detail: "), "{ran:?}");
    let ran = refuses(&mut fixture.list(&["--profile", "sso", "-v"]), remedy);
    assert!(ran.stderr.contains("detail: ") && ran.stderr.contains("cached SSO token"), "{ran:?}");
    fixture.sso_token(SSO_SESSION, "2020-01-01T00:00:00Z");
    refuses(&mut fixture.list(&["--profile", "sso"]), remedy);
    // A role that is assumed from this profile needs the same login.
    refuses(&mut fixture.list(&["--profile", "role-by-sso"]), remedy);
}

#[test]
fn aws_login() {
    let fixture = Fixture::new();
    refuses(&mut fixture.list(&["--profile", "console"]), "run `aws login --profile console`");
    fixture.console_token(LATER);
    signs(&fixture, &mut fixture.list(&["--profile", "console"]), "ASIACONSOLE");
}

#[test]
fn a_credential_process() {
    let fixture = Fixture::new();
    let program = fixture.write(
        "bin/helper",
        "#!/bin/sh\necho '{\"Version\":1,\"AccessKeyId\":\"AKIAPROGRAM\",\"SecretAccessKey\":\"s\"}'\n",
    );
    fs::set_permissions(Path::new(&program), fs::Permissions::from_mode(0o755)).unwrap();
    fixture.add_profile(&format!("[profile program]\ncredential_process = {program}\n[profile broken]\ncredential_process = /bin/false\n"));
    signs(&fixture, &mut fixture.list(&["--profile", "program"]), "AKIAPROGRAM");
    refuses(&mut fixture.list(&["--profile", "broken"]), "credential_process of profile \"broken\"");
}

#[test]
fn roles_are_assumed_from_every_source() {
    let fixture = Fixture::new();
    signs(&fixture, &mut fixture.list(&["--profile", "role"]), "ASIAASSUMEROLE");
    assert_eq!(fixture.count("Action=AssumeRole"), 1, "assumed once for all requests");
    let fixture = Fixture::new();
    fixture.sso_token(SSO_SESSION, LATER);
    signs(&fixture, &mut fixture.list(&["--profile", "role-by-sso"]), "ASIAASSUMEROLE");
    let fixture = Fixture::new();
    let task = format!("{}/task", fixture.aws.url());
    signs(
        &fixture,
        fixture.list(&["--profile", "role-of-task"]).env("AWS_CONTAINER_CREDENTIALS_FULL_URI", task),
        "ASIAASSUMEROLE",
    );
}

#[test]
fn a_web_identity() {
    let fixture = Fixture::new();
    let token = fixture.write("token", "a.web.token");
    let mut command = fixture.list(&[]);
    command
        .env("AWS_WEB_IDENTITY_TOKEN_FILE", token)
        .env("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/pod");
    signs(&fixture, &mut command, "ASIAASSUMEROLEWITHWEBIDENTITY");
}

#[test]
fn the_credentials_of_a_task_and_of_an_instance_are_used() {
    let fixture = Fixture::new();
    let task = format!("{}/task", fixture.aws.url());
    signs(&fixture, fixture.list(&[]).env("AWS_CONTAINER_CREDENTIALS_FULL_URI", task), "ASIATASK");
    // A profile without credentials uses those of the instance, for example a profile with a region only.
    for arguments in [&[][..], &["--profile", "empty"]] {
        let fixture = Fixture::new();
        let mut command = fixture.list(arguments);
        command
            .env_remove("AWS_EC2_METADATA_DISABLED")
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", fixture.aws.url());
        signs(&fixture, &mut command, "ASIAMACHINE");
    }
}

#[test]
fn an_mfa_code_is_not_asked_for_and_the_way_around_is_named() {
    let fixture = Fixture::new();
    refuses(
        &mut fixture.list(&["--profile", "careful"]),
        "aws configure export-credentials --profile careful",
    );
    assert_eq!(fixture.aws.requests().len(), 0, "no role is assumed without its code");
}

#[test]
fn absent_credentials_and_profiles_are_named() {
    let fixture = Fixture::new();
    refuses(&mut fixture.list(&[]), "no AWS credentials: run `aws configure` or `aws sso login`");
    refuses(
        &mut fixture.list(&["--profile", "nope"]),
        "no profile \"nope\" (profiles: careful, console, default",
    );
    refuses(fixture.list(&[]).env("AWS_PROFILE", "nope"), "no profile \"nope\"");
}

#[test]
fn a_stack_is_not_looked_for_without_a_region() {
    let fixture = Fixture::new();
    fixture.write(".aws/config", "");
    let fleet: [&[&str]; 3] = [&["status"], &["cancel", "run-1"], &["prices", "refresh", "--stack", "x"]];
    for arguments in fleet {
        let mut command =
            fixture.command(arguments.first().copied().map_or([""], |first| [first]), &arguments[1..]);
        command.env("AWS_PROFILE", "keys").env_remove("AWS_ENDPOINT_URL_CLOUDFORMATION");
        refuses(&mut command, "no AWS region: pass --region or set AWS_REGION");
    }
    let ran = run(fixture
        .command(["doctor"], &[])
        .env("AWS_PROFILE", "keys")
        .env_remove("AWS_ENDPOINT_URL_CLOUDFORMATION"));
    assert!(ran.stdout.contains("no AWS region"), "{ran:?}");
}

#[test]
fn refused_credentials_are_bad_input_everywhere() {
    let refuse = |request: &Request| {
        if request.path.contains("list-type=2") {
            Some(Reply::s3_error(403, "InvalidAccessKeyId"))
        } else {
            Some(Reply {
            status: 403,
            body: "<ErrorResponse><Error><Code>InvalidClientTokenId</Code><Message>no</Message></Error></ErrorResponse>".to_owned(),
            ..Reply::default()
        })
        }
    };
    let fixture = Fixture { aws: FakeServer::start(refuse), ..Fixture::new() };
    refuses(&mut fixture.list(&["--profile", "keys"]), "does not accept these credentials");
    let regional = ["--profile", "keys", "--region", "eu-central-1"];
    refuses(&mut fixture.command(["status"], &regional), "AWS does not accept these credentials");
}
