//! A hub on loopback: real HTTP, the hub's own paths and headers, and any of its faults on demand.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha2::Digest;

pub(crate) const REPOSITORY: &str = "someone/sounds";
/// Listings come in pages, as the hub's do.
const PAGE: usize = 64;

/// What goes wrong with the bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// The connection ends in the middle.
    Cut,
    /// Other bytes than the listing says, and so announced.
    WrongLength,
    /// As many bytes, but others.
    WrongHash,
    /// This status, with the pause that it asks for.
    Status(u16, Option<u64>),
    /// A few bytes a second.
    Trickle,
    /// No answer at all.
    Silence,
    /// Redirects without end.
    Circle,
    /// The header names another commit.
    OtherCommit,
    /// Ranges are ignored.
    NoRanges,
}

pub(crate) struct Stored {
    pub name: String,
    pub content: Vec<u8>,
    pub pointed: bool,
    sha256: String,
    oid: String,
}

impl Stored {
    pub fn new(name: String, content: Vec<u8>, pointed: bool) -> Self {
        let sha256 = hex(&sha2::Sha256::digest(&content));
        let oid = oid(&content, pointed, &sha256);
        Self {
            name,
            content,
            pointed,
            sha256,
            oid,
        }
    }
}

/// How the server behaves from now on.
pub(crate) struct State {
    pub commit: String,
    pub fault: Fault,
    /// How often the fault meets each file; 0 for never.
    pub times: u32,
    /// Only every so manieth file is met.
    pub every: usize,
    /// Status of the listing, if it is not to be had.
    pub listing: Option<u16>,
    pub met: BTreeMap<String, u32>,
    /// Answers to requests for files, and those of them that went on from a place within.
    pub answers: usize,
    pub resumed: usize,
    /// A token without which nothing is given.
    pub token: Option<String>,
    /// Whose files these are.
    pub repository: &'static str,
    /// Where questions for the listing are sent instead, if anywhere.
    pub elsewhere: Option<String>,
    /// Every page of the listing names a next one.
    pub endless: bool,
    /// What comes in place of the listing: header lines and a body.
    pub instead: Option<(String, Vec<u8>)>,
    /// Requests that came with `Authorization`.
    pub authorized: usize,
}

pub(crate) struct Hub {
    pub address: String,
    pub files: Arc<Vec<Stored>>,
    pub state: Arc<Mutex<State>>,
}

impl Hub {
    /// A hub with these files in its one repository; its threads end with the test's process.
    pub fn new(files: Vec<Stored>) -> Self {
        Self::of(REPOSITORY, files)
    }

    /// The same with another repository.
    pub fn of(repository: &'static str, files: Vec<Stored>) -> Self {
        // two ports are two origins: files beside git come from elsewhere
        let [listener, cdn] = [0, 1].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let [address, cdn_address] =
            [&listener, &cdn].map(|listener| format!("http://{}", listener.local_addr().unwrap()));
        let state = State {
            commit: "c".repeat(40),
            fault: Fault::None,
            times: 0,
            every: 1,
            listing: None,
            met: BTreeMap::new(),
            answers: 0,
            resumed: 0,
            token: None,
            repository,
            elsewhere: None,
            endless: false,
            instead: None,
            authorized: 0,
        };
        let hub = Self {
            address: address.clone(),
            files: Arc::new(files),
            state: Arc::new(Mutex::new(state)),
        };
        for (listener, is_cdn) in [(listener, false), (cdn, true)] {
            let (files, state) = (Arc::clone(&hub.files), Arc::clone(&hub.state));
            let addresses = [address.clone(), cdn_address.clone()];
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let (files, state, addresses) = (Arc::clone(&files), Arc::clone(&state), addresses.clone());
                    let connection = Connection {
                        stream,
                        files,
                        state,
                        addresses,
                        is_cdn,
                    };
                    // a client that went away is no fault of the server's
                    std::thread::spawn(move || drop(connection.serve()));
                }
            });
        }
        hub
    }

    /// From now on `fault` meets every `every`th file `times` times.
    pub fn misbehave(&self, fault: Fault, times: u32, every: usize) {
        let mut state = self.state.lock().unwrap();
        (state.fault, state.times, state.every) = (fault, times, every);
        state.met.clear();
        (state.answers, state.resumed) = (0, 0);
    }
}

struct Connection {
    stream: TcpStream,
    files: Arc<Vec<Stored>>,
    state: Arc<Mutex<State>>,
    /// Of the hub, and of the place that it redirects to.
    addresses: [String; 2],
    is_cdn: bool,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// git's name for what the repository holds: the file, or the pointer to it.
fn oid(content: &[u8], pointed: bool, sha256: &str) -> String {
    let size = content.len();
    let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n");
    let blob = if pointed { pointer.as_bytes() } else { content };
    let mut hasher = sha1::Sha1::new();
    hasher.update(format!("blob {}\0", blob.len()));
    hasher.update(blob);
    hex(&hasher.finalize())
}

impl Connection {
    fn serve(mut self) -> std::io::Result<()> {
        let mut lines = BufReader::new(self.stream.try_clone()?).lines();
        let first = lines.next().unwrap_or(Ok(String::new()))?;
        let mut headers = BTreeMap::new();
        for line in lines {
            let line = line?;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            headers.insert(name.to_lowercase(), value.trim().to_owned());
        }
        // the only character of the tests' names that addresses cannot have
        let path = first.split(' ').nth(1).unwrap_or("").replace("%20", " ");
        let (path, query) = path.split_once('?').unwrap_or((&path, ""));
        let (token, repository, elsewhere, instead) = {
            let mut state = self.state.lock().unwrap();
            state.authorized += usize::from(headers.contains_key("authorization"));
            let instead = (state.elsewhere.clone(), state.instead.clone());
            (state.token.clone(), state.repository, instead.0, instead.1)
        };
        if let Some(elsewhere) = elsewhere {
            return self.answer(302, &format!("Location: {elsewhere}{path}\r\n"), b"");
        }
        if let Some((extra, body)) = instead {
            return self.answer(200, &extra, &body);
        }
        if !self.is_cdn && token.is_some_and(|token| headers.get("authorization") != Some(&format!("Bearer {token}"))) {
            return self.answer(401, "", b"{}");
        }
        // the token is the hub's alone
        if self.is_cdn && headers.contains_key("authorization") {
            return self.answer(400, "", b"{}");
        }
        // a repository is of a data set or of a model, which has no word in front of its page
        let below = |front: &[&str]| {
            let within = |front: &&str| path.strip_prefix(&format!("{front}{repository}/"));
            front.iter().find_map(within)
        };
        let resolve = below(&["/datasets/", "/"]).and_then(|rest| rest.strip_prefix("resolve/")?.split_once('/'));
        if let Some(rest) = below(&["/api/datasets/", "/api/models/"]) {
            self.list(path.starts_with("/api/models/"), rest, query)
        } else if let Some((commit, name)) = resolve {
            self.file(commit, name, headers.get("range"), true)
        } else if let Some(name) = path.strip_prefix("/cdn/") {
            let commit = self.state.lock().unwrap().commit.clone();
            self.file(&commit, name, headers.get("range"), false)
        } else {
            self.answer(404, "", b"{}")
        }
    }

    fn list(&mut self, is_model: bool, rest: &str, query: &str) -> std::io::Result<()> {
        let (commit, status, repository) = {
            let state = self.state.lock().unwrap();
            (state.commit.clone(), state.listing, state.repository)
        };
        if let Some(status) = status {
            return self.answer(status, "", b"{\"error\":\"as the test wants it\"}");
        }
        if rest.starts_with("revision/") {
            let body = serde_json::json!({"id": repository, "sha": commit, "gated": false});
            return self.answer(200, "", body.to_string().as_bytes());
        }
        let kind = if is_model { "models" } else { "datasets" };
        let page = query.split('&').find_map(|part| part.strip_prefix("cursor="));
        let page: usize = page.and_then(|page| page.parse().ok()).unwrap_or(0);
        let entry = |file: &Stored| {
            let (oid, size) = (&file.oid, file.content.len());
            let mut entry = serde_json::json!({"type": "file", "oid": oid, "size": size, "path": file.name});
            if file.pointed {
                entry["lfs"] = serde_json::json!({"oid": file.sha256, "size": size, "pointerSize": 130});
            }
            entry
        };
        let entries: Vec<_> = self.files.iter().skip(page * PAGE).take(PAGE).map(entry).collect();
        let endless = self.state.lock().unwrap().endless;
        let next = match endless || (page + 1) * PAGE < self.files.len() {
            true => format!(
                "Link: <{}/api/{kind}/{repository}/{rest}?recursive=true&cursor={}>; rel=\"next\"\r\n",
                self.addresses[0],
                page + 1
            ),
            false => String::new(),
        };
        self.answer(200, &next, serde_json::json!(entries).to_string().as_bytes())
    }

    /// The fault that meets this request, if it is its turn.
    fn fault(&self, index: usize, name: &str) -> Fault {
        let mut state = self.state.lock().unwrap();
        let met = state.met.get(name).copied().unwrap_or(0);
        if met >= state.times || !index.is_multiple_of(state.every) {
            return Fault::None;
        }
        state.met.insert(name.to_owned(), met + 1);
        state.fault
    }

    fn file(&mut self, commit: &str, name: &str, range: Option<&String>, first: bool) -> std::io::Result<()> {
        let files = Arc::clone(&self.files);
        let Some(index) = files.iter().position(|file| file.name == name) else {
            return self.answer(404, "", b"");
        };
        let (file, current) = (&files[index], self.state.lock().unwrap().commit.clone());
        if commit != current {
            return self.answer(404, "", b"");
        }
        let mut extra = format!("X-Repo-Commit: {current}\r\n");
        if file.pointed {
            let (hash, size) = (&file.sha256, file.content.len());
            extra.push_str(&format!("X-Linked-Etag: \"{hash}\"\r\nX-Linked-Size: {size}\r\n"));
            if first {
                let to = format!("Location: {}/cdn/{name}\r\n", self.addresses[1]);
                return self.answer(302, &format!("{extra}{to}"), b"");
            }
            extra.clear();
        }
        let fault = self.fault(index, name);
        self.bytes(file, range, fault, &extra)
    }

    fn bytes(&mut self, file: &Stored, range: Option<&String>, fault: Fault, extra: &str) -> std::io::Result<()> {
        let size = file.content.len();
        let from = range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
        let from = from.filter(|&from| from < size && fault != Fault::NoRanges);
        {
            let mut state = self.state.lock().unwrap();
            state.answers += 1;
            state.resumed += usize::from(from.is_some());
        }
        let mut content = file.content[from.unwrap_or(0)..].to_vec();
        let range = from.map(|from| format!("Content-Range: bytes {from}-{}/{size}\r\n", size - 1));
        let status = if range.is_some() { 206 } else { 200 };
        let extra = format!("{extra}{}", range.unwrap_or_default());
        match fault {
            Fault::None | Fault::NoRanges => self.answer(status, &extra, &content),
            Fault::Status(status, pause) => {
                let pause = pause.map(|pause| format!("Retry-After: {pause}\r\n"));
                self.answer(status, &pause.unwrap_or_default(), b"an error page, not the file")
            }
            Fault::WrongLength => {
                content.push(0);
                self.answer(status, &extra, &content)
            }
            Fault::WrongHash => {
                content.iter_mut().for_each(|byte| *byte = !*byte);
                self.answer(status, &extra, &content)
            }
            Fault::Cut => {
                self.head(status, &extra, content.len())?;
                self.stream.write_all(&content[..content.len() / 2])
            }
            Fault::Trickle => {
                self.head(status, &extra, content.len())?;
                content.iter().try_for_each(|byte| {
                    std::thread::sleep(Duration::from_millis(20));
                    self.stream.write_all(&[*byte])
                })
            }
            Fault::Silence => {
                std::thread::sleep(Duration::from_secs(5));
                Ok(())
            }
            Fault::Circle => {
                let to = format!("Location: {}/cdn/{}\r\n", self.addresses[1], file.name);
                self.answer(302, &to, b"")
            }
            Fault::OtherCommit => {
                let other = format!("X-Repo-Commit: {}\r\n", "d".repeat(40));
                self.answer(status, &other, &content)
            }
        }
    }

    fn head(&mut self, status: u16, extra: &str, length: usize) -> std::io::Result<()> {
        write!(
            self.stream,
            "HTTP/1.1 {status} -\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{extra}\r\n"
        )
    }

    fn answer(&mut self, status: u16, extra: &str, body: &[u8]) -> std::io::Result<()> {
        self.head(status, extra, body.len())?;
        self.stream.write_all(body)
    }
}
