//! Connections to a bucket: endpoints, regions, proxies, certificates and requester pays, as in the AWS CLI.

use std::fs;
use std::process::Command;

use tagfleet_tests::command::{Ran, run, tagfleet};
use tagfleet_tests::fake_server::{FakeServer, Reply, Request};

const LISTING: &str = "<ListBucketResult><Contents><Key>p/a.jpg</Key><Size>3</Size><ETag>\"e\"</ETag></Contents></ListBucketResult>";

fn list(arguments: &[&str]) -> Command {
    list_of("s3://shop/p/", arguments)
}

fn list_of(place: &str, arguments: &[&str]) -> Command {
    let mut command = tagfleet(["run", place, "--model", "demo/model", "--out", "/nowhere", "--dry-run"]);
    let variables = std::env::vars_os().map(|(name, _)| name);
    for name in variables.filter(|name| name.to_string_lossy().starts_with("AWS_")) {
        command.env_remove(name);
    }
    for name in [
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "no_proxy",
    ] {
        command.env_remove(name);
    }
    command.args(arguments).env("AWS_ACCESS_KEY_ID", "AKIATEST").env("AWS_SECRET_ACCESS_KEY", "s");
    command.env("AWS_REGION", "us-east-1").env("AWS_EC2_METADATA_DISABLED", "true");
    command.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    command
}

fn store() -> FakeServer {
    FakeServer::start(|request| request.path.contains("list-type=2").then(|| Reply::ok(LISTING)))
}

fn finishes(command: &mut Command) -> Ran {
    let ran = run(command);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran
}

fn refuses(command: &mut Command, remedy: &str) {
    let ran = run(command);
    assert!(ran.code == Some(2) && ran.stderr.contains(remedy), "{remedy:?} is not in {ran:?}");
}

fn config(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    file
}

#[test]
fn buckets_of_other_endpoints_are_in_the_path() {
    let by_name = |store: &FakeServer| store.url().replace("127.0.0.1", "localhost");
    for variable in ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"] {
        let store = store();
        finishes(list(&[]).env(variable, by_name(&store)));
        assert!(
            store.requests().iter().all(|request| request.path.starts_with("/shop/?")),
            "{:?}",
            store.requests()
        );
    }
    let store = store();
    let profile = format!(
        "[default]\nservices = local\n[services local]\ns3 =\n  endpoint_url = {}\n",
        by_name(&store)
    );
    let profile = config(&profile);
    finishes(list(&[]).env("AWS_CONFIG_FILE", profile.path()));
    assert!(store.requests()[0].path.starts_with("/shop/?"), "{:?}", store.requests());
}

#[test]
fn an_option_comes_before_the_endpoint_of_a_service() {
    let (store, other) = (store(), store());
    finishes(list(&["--endpoint-url", &store.url()]).env("AWS_ENDPOINT_URL_S3", other.url()));
    assert!(other.requests().is_empty() && !store.requests().is_empty());
}

fn region(request: &Request) -> String {
    request.header("authorization").split('/').nth(2).unwrap_or_default().to_owned()
}

#[test]
fn a_bucket_is_followed_to_its_region() {
    let moved = |request: &Request| {
        let at_home = Reply::ok(LISTING);
        let elsewhere = Reply {
            headers: vec![("x-amz-bucket-region", "eu-west-1".to_owned())],
            ..Reply::s3_error(301, "PermanentRedirect")
        };
        Some(if region(request) == "eu-west-1" { at_home } else { elsewhere })
    };
    let malformed = |request: &Request| {
        let code = "<Error><Code>AuthorizationHeaderMalformed</Code><Message>no</Message><Region>eu-west-1</Region></Error>";
        let elsewhere = Reply { status: 400, body: code.to_owned(), ..Reply::default() };
        Some(if region(request) == "eu-west-1" { Reply::ok(LISTING) } else { elsewhere })
    };
    for store in [FakeServer::start(moved), FakeServer::start(malformed)] {
        finishes(&mut list(&["--endpoint-url", &store.url()]));
        assert_eq!(region(store.requests().last().unwrap()), "eu-west-1");
        // The region may be unknown.
        finishes(list(&["--endpoint-url", &store.url()]).env_remove("AWS_REGION"));
    }
}

#[test]
fn an_endless_redirect_is_an_error() {
    let lost = |_: &Request| {
        Some(Reply {
            headers: vec![("x-amz-bucket-region", "eu-west-1".to_owned())],
            ..Reply::s3_error(301, "PermanentRedirect")
        })
    };
    let store = FakeServer::start(lost);
    refuses(&mut list(&["--endpoint-url", &store.url()]), "PermanentRedirect");
}

#[test]
fn an_invalid_region_is_refused_before_any_request() {
    refuses(&mut list(&["--region", "frankfurt"]), "\"frankfurt\" is not an AWS region");
    refuses(list(&[]).env("AWS_REGION", "evil.example/x-1"), "is not an AWS region");
    // A store that is compatible with S3 may have any region name.
    let store = store();
    finishes(&mut list(&["--region", "garage", "--endpoint-url", &store.url()]));
}

#[test]
fn requests_go_through_the_proxy_unless_the_host_is_excepted() {
    let answers = |request: &Request| request.path.contains("list-type=2").then(|| Reply::ok(LISTING));
    let (store, proxy) = (store(), FakeServer::start(answers));
    let through = |no_proxy: &str| {
        let mut command = list(&["--endpoint-url", &store.url()]);
        finishes(command.env("HTTP_PROXY", proxy.url()).env("NO_PROXY", no_proxy));
        (store.requests().len(), proxy.requests().len())
    };
    let (direct, proxied) = through("");
    assert!(direct == 0 && proxied > 0);
    assert!(proxy.requests()[0].path.starts_with("http://127.0.0.1:"), "{:?}", proxy.requests());
    let port = store.url().rsplit(':').next().unwrap().to_owned();
    for (nth, excepted) in (1..).zip([
        "127.0.0.1".to_owned(),
        "*".to_owned(),
        "127.0.0.0/8".to_owned(),
        format!("127.0.0.1:{port}"),
    ]) {
        let (direct, still_proxied) = through(&excepted);
        assert!(direct >= nth && still_proxied == proxied, "{excepted}");
    }
    refuses(
        list(&[]).env("HTTPS_PROXY", "socks5://user:secret@localhost:1"),
        "HTTPS_PROXY does not name a proxy",
    );
}

#[test]
fn a_bundle_of_certificates_that_cannot_be_used_is_named() {
    let empty = config("no certificate\n");
    refuses(list(&[]).env("AWS_CA_BUNDLE", "/no/such.pem"), "AWS_CA_BUNDLE: /no/such.pem cannot be read");
    refuses(list(&[]).env("AWS_CA_BUNDLE", empty.path()), "has no certificate");
    let profile = config("[default]\nca_bundle = /no/such.pem\n");
    refuses(list(&[]).env("AWS_CONFIG_FILE", profile.path()), "ca_bundle: /no/such.pem cannot be read");
}

#[test]
fn the_requester_pays_and_the_public_are_not_signed() {
    let store = store();
    finishes(&mut list(&["--endpoint-url", &store.url()]));
    assert_eq!(store.requests()[0].header("x-amz-request-payer"), "");
    let store = self::store();
    finishes(&mut list(&["--endpoint-url", &store.url(), "--request-payer", "requester"]));
    let request = &store.requests()[0];
    assert_eq!(request.header("x-amz-request-payer"), "requester");
    assert!(request.header("authorization").contains("x-amz-request-payer"), "it is signed: {request:?}");
    let store = self::store();
    finishes(list(&["--endpoint-url", &store.url(), "--no-sign-request"]).env_remove("AWS_ACCESS_KEY_ID"));
    assert!(store.requests().iter().all(|request| request.header("authorization").is_empty()));
}

#[test]
fn a_listing_that_is_denied_names_the_flags_that_may_help() {
    let store = FakeServer::start(|_| Some(Reply::s3_error(403, "AccessDenied")));
    refuses(&mut list(&["--endpoint-url", &store.url()]), "--request-payer requester");
}

#[test]
fn an_access_point_is_part_of_the_host() {
    let place = "s3://arn:aws:s3:eu-west-1:123456789012:accesspoint/shop/p/";
    // A proxy receives whole URLs, and this one answers for every host.
    let proxy = FakeServer::start(|_| Some(Reply::ok(LISTING)));
    let mut command = list_of(place, &["--endpoint-url", "http://store.example"]);
    finishes(command.env("HTTP_PROXY", proxy.url()));
    let request = &proxy.requests()[0];
    assert!(request.path.starts_with("http://shop-123456789012.store.example/?"), "{request:?}");
    assert_eq!(region(request), "eu-west-1");
    refuses(
        &mut list_of("s3://arn:aws:s3::123456789012:accesspoint/x.mrap/p/", &[]),
        "multi-region access point",
    );
}

#[test]
fn a_store_without_conditional_writes_is_named() {
    let answers = |request: &Request| match request.method.as_str() {
        "PUT" => Some(Reply::s3_error(501, "NotImplemented")),
        _ => Some(Reply::ok("<ListBucketResult></ListBucketResult>")),
    };
    let store = FakeServer::start(answers);
    let mut command = tagfleet(["run", "demo/photos", "--model", "demo/model", "--out", "s3://results/r/"]);
    command
        .args(["--endpoint-url", &store.url(), "--quiet"])
        .env("AWS_ACCESS_KEY_ID", "k")
        .env("AWS_SECRET_ACCESS_KEY", "s");
    let ran = run(command.env("AWS_REGION", "us-east-1"));
    assert!(ran.stderr.contains("no conditional writes"), "{ran:?}");
    assert_ne!(ran.code, Some(0));
}
