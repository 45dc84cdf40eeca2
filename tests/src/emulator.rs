//! AWS on this machine: one emulator per test, on a free port of the loopback, gone with the test.
//!
//! It starts what `scripts/setup.sh test` installed and makes buckets and queues by plain requests; everything that is
//! tested goes through the real SDKs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::project;

/// A running emulator.
pub struct Emulator {
    process: Child,
    address: String,
}

impl Emulator {
    /// Starts one and waits until it listens.
    ///
    /// # Panics
    /// Where it is not installed or does not start.
    #[must_use]
    pub fn start() -> Self {
        let python = project(".venv-emulator/bin/python");
        assert!(python.exists(), "{} is not there: run `make test`", python.display());
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("its address");
        let mut command = Command::new(python);
        command
            .args(["-c", "from ministack.app import main; main()"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.env("BIND_HOST", "127.0.0.1").env("GATEWAY_PORT", free.port().to_string());
        command.env("AWS_ENDPOINT_URL", format!("http://{free}")).env("MINISTACK_REGION", "us-east-1");
        let mut process = command.spawn().expect("the emulator starts");
        let output = process.stderr.take().expect("its output");
        let mut lines = BufReader::new(output).lines();
        let listens = lines.any(|line| line.is_ok_and(|line| line.contains("Running on")));
        assert!(listens, "the emulator ended before it listened");
        // What it logs from now on has to go somewhere.
        std::thread::spawn(move || lines.count());
        Self { process, address: free.to_string() }
    }

    /// Where every service is.
    #[must_use]
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes a bucket.
    ///
    /// # Panics
    /// Where the emulator refuses.
    pub fn make_bucket(&self, name: &str) {
        self.request(&format!("PUT /{name} HTTP/1.1\r\n"), "", "s3");
    }

    /// Makes a queue and returns its address.
    ///
    /// # Panics
    /// Where the emulator refuses.
    #[must_use]
    pub fn make_queue(&self, name: &str) -> String {
        let head = "POST / HTTP/1.1\r\nX-Amz-Target: AmazonSQS.CreateQueue\r\nContent-Type: application/x-amz-json-1.0\r\n";
        let answer = self.request(head, &format!("{{\"QueueName\":\"{name}\"}}"), "sqs");
        let body: serde_json::Value = serde_json::from_str(&answer).expect("a JSON answer");
        body["QueueUrl"].as_str().expect("the queue's address").to_owned()
    }

    /// Sends one request and returns the answer's body.
    fn request(&self, head: &str, body: &str, service: &str) -> String {
        let scope = format!("20260101/us-east-1/{service}/aws4_request");
        let signed = format!("AWS4-HMAC-SHA256 Credential=test/{scope}, SignedHeaders=host, Signature=0");
        let (address, length) = (&self.address, body.len());
        let mut stream = TcpStream::connect(address).expect("the emulator listens");
        let rest = format!(
            "Host: {address}\r\nAuthorization: {signed}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(format!("{head}{rest}{body}").as_bytes()).expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer.split_once("\r\n\r\n").map_or_else(String::new, |(_, body)| body.to_owned())
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
