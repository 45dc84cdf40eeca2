//! Signed requests against a server of the test's own on the loopback.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use serde_json::json;

use super::*;
use crate::client::Options;

/// Answers one request after the other, each on a connection of its own, and returns what was asked.
fn serve(answers: &[(u16, &str)]) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answers: Vec<_> = answers.iter().map(|(status, body)| (*status, (*body).to_owned())).collect();
    let served = std::thread::spawn(move || {
        let answer = |(status, body): (u16, String)| answer(&listener.accept().unwrap().0, status, &body);
        answers.into_iter().map(answer).collect()
    });
    (url, served)
}

fn answer(mut stream: &TcpStream, status: u16, body: &str) -> String {
    let mut lines = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    while !head.ends_with("\r\n\r\n") {
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head.push_str(&line);
    }
    let mut asked = vec![0; length];
    lines.read_exact(&mut asked).unwrap();
    let head_of_answer =
        format!("HTTP/1.1 {status} Status\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(format!("{head_of_answer}{body}").as_bytes()).unwrap();
    head + &String::from_utf8(asked).unwrap()
}

async fn aws(url: String) -> Aws {
    let region = Some("eu-central-1".to_owned());
    Aws::for_tests(&Options { region, endpoint_url: Some(url), ..Options::default() }).await
}

const STACKS: Call<'_> =
    Call { service: Service::CLOUDFORMATION, action: "DescribeStacks", resource: "fleet" };

#[tokio::test]
async fn a_query_is_signed_and_its_answer_read() {
    let (url, served) = serve(&[(200, "<R><Outputs/></R>")]);
    let answer = aws(url).await.query(STACKS, &[("StackName", "a b+c")]).await.unwrap();
    assert_eq!(answer.name, "R");
    let asked = served.join().unwrap().remove(0);
    assert!(asked.contains("eu-central-1/cloudformation/aws4_request"), "{asked}");
    assert!(asked.ends_with("Action=DescribeStacks&Version=2010-05-15&StackName=a%20b%2Bc"), "{asked}");
}

#[tokio::test]
async fn an_error_is_told_in_one_line_and_shows_no_credential() {
    let body = "<ErrorResponse><Error><Code>ValidationError</Code><Message>Stack with id fleet does not exist</Message></Error></ErrorResponse>";
    let (url, served) = serve(&[(400, body)]);
    let error = aws(url).await.stack_outputs("fleet").await.unwrap_err();
    assert_eq!(error.kind, Kind::Missing);
    assert_eq!(
        error.to_string(),
        "CloudFormation DescribeStacks: fleet: ValidationError: Stack with id fleet does not exist"
    );
    served.join().unwrap();
}

#[tokio::test]
async fn a_server_error_is_tried_again() {
    let (url, served) = serve(&[(503, ""), (429, "{\"message\":\"slow\"}"), (200, "{\"a\":1}")]);
    let call = Call { service: Service::SERVICE_QUOTAS, action: "GetServiceQuota", resource: "L-1" };
    let aws = aws(url).await;
    let answer = aws.json(call, &json!({"b": 2})).await.unwrap();
    assert_eq!(answer, json!({"a": 1}));
    let counted = aws.requests().0["servicequotas:GetServiceQuota"];
    assert_eq!((counted.calls, counted.bytes_out), (3, 3 * 7), "{counted:?}");
    let asked = served.join().unwrap();
    assert_eq!(asked.len(), 3);
    assert!(
        asked[2].to_lowercase().contains("x-amz-target: servicequotasv20190624.getservicequota"),
        "{asked:?}"
    );
    assert!(asked[2].ends_with("{\"b\":2}"), "{asked:?}");
}

#[tokio::test]
async fn a_denial_is_not_tried_again() {
    let (url, served) = serve(&[(403, "{\"__type\":\"x#AccessDeniedException\",\"message\":\"no\"}")]);
    let call = Call { service: Service::BATCH, action: "DescribeJobs", resource: "job" };
    let error = aws(url).await.rest(call, "POST", "/v1/describejobs", Some(&json!({}))).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (Kind::Denied, "AccessDeniedException"));
    served.join().unwrap();
}
