//! `--download` of one address: from a web server, from one that closes its connections, and from one that
//! announces a file that is too large.

use std::io::{Read, Write};
use std::net::TcpListener;

use tagfleet_tests::command::run;
use tagfleet_tests::fake_server::{FakeServer, Reply};

use super::{Files, Hub, demo, files_below, sha256};

/// A web server with the `.onnx` file of the demo's model, without the files that describe it.
fn web() -> FakeServer {
    FakeServer::start(|request| match request.path.as_str() {
        "/models/tagger.onnx" => Some(Reply { status: 200, file: demo("model.onnx"), ..Reply::default() }),
        "/moved.onnx" => Some(Reply {
            status: 301,
            headers: vec![("Location", "models/tagger.onnx".to_owned())],
            ..Reply::default()
        }),
        _ => None,
    })
}

#[test]
fn an_address_is_fetched_once_and_checked_against_its_hash() {
    let (hub, web) = (Hub::new(Files::new()), web());
    let inspect = |address: &str, more: &[&str]| {
        run(&mut hub.command(&[&["inspect", address, "--engine", "tract"], more].concat()))
    };
    let hash = sha256(&demo("model.onnx"));
    let pinned = format!("{}/moved.onnx#sha256={hash}", web.url());
    let first = inspect(&pinned, &["--download"]);
    assert_eq!(first.code, Some(0), "{first:?}");
    assert!(
        first.stdout.contains("/.cache/tagfleet/models/") && first.stdout.contains("moved.onnx"),
        "{first:?}"
    );
    assert!(!first.stderr.contains("to pin this file"), "{first:?}");
    let requests = web.requests().len();
    assert_eq!(inspect(&pinned, &[]).code, Some(0), "the stored file is used without the option");
    assert_eq!(web.requests().len(), requests);

    let open = format!("{}/models/tagger.onnx", web.url());
    let ran = inspect(&open, &["--download"]);
    assert!(ran.stderr.contains(&format!("to pin this file, add #sha256={hash} to the address")), "{ran:?}");
    let before = files_below(hub.home.path());
    let wrong = inspect(&format!("{open}#sha256={}", "0".repeat(64)), &["--download"]);
    assert_eq!((wrong.code, wrong.stdout.as_str()), (Some(2), ""), "{wrong:?}");
    assert!(wrong.stderr.contains("is not the file that was asked for"), "{wrong:?}");
    assert_eq!(files_below(hub.home.path()), before, "no part of it is kept");
    let none = inspect(&format!("{}/none.onnx", web.url()), &["--download"]);
    assert!(none.code == Some(2) && none.stderr.contains("HTTP 404: check the address"), "{none:?}");
}

/// The URL of a server that closes its connections inside a body, which no HTTP library does.
fn closing_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nhalf");
        }
    });
    url
}

#[test]
fn a_download_that_breaks_leaves_nothing() {
    let hub = Hub::new(Files::new());
    let huge = FakeServer::start(|_| {
        let headers = vec![("Content-Length", (1_u64 << 40).to_string())];
        Some(Reply { status: 200, headers, ..Reply::default() })
    });
    for (server, code, why) in [
        (closing_server(), 1, "then run the same command again"),
        (huge.url(), 2, "has more than 8589934592 bytes"),
    ] {
        let address = format!("{server}/model.onnx");
        let ran = run(&mut hub.command(&["inspect", &address, "--download"]));
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), ""), "{ran:?}");
        assert!(ran.stderr.contains(why) && !ran.stderr.contains("content-length"), "{ran:?}");
        assert_eq!(files_below(hub.home.path()), [] as [String; 0], "{ran:?}");
    }
}
