//! A hub that wants the token for somebody else or the client's memory, and a proxy in between.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::mpsc;

use super::*;

#[test]
fn the_token_goes_to_the_very_server_of_the_endpoint() {
    let cache = tempfile::tempdir().unwrap();
    let (hub, other) = (Hub::new(files(4)), Hub::new(files(4)));
    let request = request(&hub, cache.path());
    // another port of the same host
    hub.state.lock().unwrap().elsewhere = Some(other.address.clone());
    plan_fetch(&SOURCE, &request).unwrap();
    let authorized = |hub: &Hub| hub.state.lock().unwrap().authorized;
    assert!(authorized(&hub) > 0);
    assert_eq!(authorized(&other), 0);
}

/// A gzip stream that becomes `letters` letters: one of them, then copies of 258 each (RFC 1951,
/// 3.2.6).
fn bomb(letters: usize) -> Vec<u8> {
    let mut bytes = b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec();
    let (mut bits, mut count) = (0_u64, 0);
    let mut put = |value: u64, width: u32| {
        bits |= value << count;
        count += width;
        while count >= 8 {
            bytes.push(bits as u8);
            bits >>= 8;
            count -= 8;
        }
    };
    let huffman = |code: u64, width: u32| (0..width).fold(0, |turned, bit| turned << 1 | (code >> bit & 1));
    put(0b011, 3); // the last block, with fixed codes
    put(huffman(0x30 + u64::from(b'a'), 8), 8);
    for _ in 0..letters / 258 {
        put(huffman(0b1100_0101, 8), 8);
        put(0, 5);
    }
    put(0, 7);
    put(0, 8);
    bytes
}

#[test]
fn a_listing_has_bounds_of_bytes_pages_and_files() {
    let cache = tempfile::tempdir().unwrap();
    let hub = Hub::new(files(FILES));
    let request = FetchRequest {
        patience: Duration::from_secs(10),
        ..request(&hub, cache.path())
    };
    let ask = || {
        listing::list(&SOURCE, MAIN, &hub.address, &request)
            .unwrap_err()
            .to_string()
    };
    let packed = bomb(256 << 20);
    assert!(packed.len() < 4 << 20, "{}", packed.len());
    hub.state.lock().unwrap().instead = Some(("Content-Encoding: gzip\r\n".to_owned(), packed));
    let message = ask();
    assert!(message.contains("its listing has more than"), "{message}");
    // far too much of what is asked for
    hub.state.lock().unwrap().instead = Some((String::new(), vec![b' '; 80 << 20]));
    let message = ask();
    assert!(message.contains("its listing has more than"), "{message}");
    hub.state.lock().unwrap().instead = None;
    hub.state.lock().unwrap().endless = true;
    let message = ask();
    assert!(message.contains("its listing has no end"), "{message}");
}

#[test]
fn a_size_that_no_file_has_is_refused() {
    let cache = tempfile::tempdir().unwrap();
    let hub = Hub::new(Vec::new());
    let request = request(&hub, cache.path());
    let commit = "c".repeat(40);
    let entry = serde_json::json!({"type": "file", "path": "data/a.bin", "oid": commit, "size": u64::MAX});
    let body = serde_json::json!([entry]).to_string();
    let page = |body: &str| hub.state.lock().unwrap().instead = Some((String::new(), body.as_bytes().to_vec()));
    let ask = || {
        let mut asker = listing::Asker::new(&SOURCE, &hub.address, &request);
        asker.tree(&commit).unwrap_err().to_string()
    };
    page(&body);
    let message = ask();
    assert!(message.contains("would have 18446744073709551615 bytes"), "{message}");
    page(&body.replace("data/a.bin", &format!("data/{}.bin", "a".repeat(5_000))));
    let message = ask();
    assert!(
        message.contains("a file's name has 5009 bytes") && message.len() < 500,
        "{message}"
    );
}

#[test]
fn a_password_in_an_address_is_never_shown() {
    let (hub, cache) = (Hub::new(files(4)), tempfile::tempdir().unwrap());
    let mut request = request(&hub, cache.path());
    let with_password = hub.address.replace("://", "://user:PASSWORD@");
    request.endpoints = vec![with_password];
    let plan = plan_fetch(&SOURCE, &request).unwrap();
    assert_eq!(plan.endpoint, hub.address);
    for status in [401, 404, 500] {
        hub.state.lock().unwrap().listing = Some(status);
        let message = plan_fetch(&SOURCE, &request).unwrap_err().to_string();
        assert!(
            !message.contains("PASSWORD") && message.contains(&hub.address),
            "{message}"
        );
    }
    hub.state.lock().unwrap().listing = None;
    for fault in [
        Fault::Status(404, None),
        Fault::WrongHash,
        Fault::WrongLength,
        Fault::Circle,
    ] {
        hub.misbehave(fault, u32::MAX, 1);
        let message = fetch(&SOURCE, &request, &()).unwrap_err().to_string();
        assert!(!message.contains("PASSWORD"), "{message}");
    }
    request.endpoints = vec!["http://user:PASSWORD@127.0.0.1:9".to_owned()];
    let message = plan_fetch(&SOURCE, &request).unwrap_err().to_string();
    assert!(
        !message.contains("PASSWORD") && message.contains("http://127.0.0.1:9/"),
        "{message}"
    );
}

/// The first lines of every request that a proxy gets; it answers as the hub at `address` would.
fn proxy(address: &str) -> (String, mpsc::Receiver<Vec<String>>) {
    let (listener, server) = (
        TcpListener::bind("127.0.0.1:0").unwrap(),
        address.replace("http://", ""),
    );
    let own = format!("http://user:word@{}", listener.local_addr().unwrap());
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let head: Vec<String> = lines
                .map(|line| line.unwrap())
                .take_while(|line| !line.is_empty())
                .collect();
            let mut to = std::net::TcpStream::connect(&server).unwrap();
            write!(to, "{}\r\n\r\n", head.join("\r\n").replace("http://hub.test", "")).unwrap();
            send.send(head).unwrap();
            std::io::copy(&mut to, &mut stream).unwrap();
        }
    });
    (own, receive)
}

#[test]
fn plain_http_goes_to_a_proxy_with_its_whole_address() {
    let (hub, cache) = (
        Hub::new(vec![Stored::new("data/a.bin".to_owned(), vec![1, 2], false)]),
        tempfile::tempdir().unwrap(),
    );
    let (address, asked) = proxy(&hub.address);
    let request = FetchRequest {
        endpoints: vec!["http://hub.test".to_owned()],
        proxies: Proxies::read(|name| (name == "http_proxy").then(|| address.clone())),
        ..request(&hub, cache.path())
    };
    let to = fetch(&SOURCE, &request, &()).unwrap();
    assert_eq!(whole(&hub, &to), 1);
    let heads: Vec<Vec<String>> = asked.try_iter().collect();
    assert_eq!(heads.len(), 3);
    let commit = "c".repeat(40);
    assert_eq!(
        heads[0][0],
        "GET http://hub.test/api/datasets/someone/sounds/revision/main HTTP/1.1"
    );
    assert_eq!(
        heads[2][0],
        format!("GET http://hub.test/datasets/someone/sounds/resolve/{commit}/data/a.bin HTTP/1.1")
    );
    for head in &heads {
        assert!(
            head.contains(&"Proxy-Authorization: Basic dXNlcjp3b3Jk".to_owned()),
            "{head:?}"
        );
        assert!(
            head.iter().any(|line| line.eq_ignore_ascii_case("host: hub.test")),
            "{head:?}"
        );
    }
}
