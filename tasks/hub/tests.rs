//! Fetching from a hub that misbehaves: every fetch ends right or with the right error, and what
//! stands under a file's name is always the whole file.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod hostile;
pub(crate) mod server;
mod snapshot;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bridle_seed::Seed;

use self::server::{Fault, Hub, REPOSITORY, Stored};
use super::*;

const FILES: usize = 200;
const SOURCE: HubSource = HubSource {
    kind: HubKind::DataSet,
    repository: REPOSITORY,
    revision: None,
    files: &["data/*.bin"],
    licence: "none",
    gated: false,
};
/// Faults that cost the client its patience meet few files, so that the test takes seconds.
const FEW: usize = 50;

/// Files from nothing to 48 KiB, every third beside git, one that no pattern asks for.
fn files(count: usize) -> Vec<Stored> {
    let mut draws = Seed::root(7).stream();
    let mut files: Vec<Stored> = (0..count)
        .map(|n| {
            let length = if n == 5 { 0 } else { draws.below(48 << 10) };
            let content = (0..length).map(|_| draws.bits() as u8).collect();
            Stored::new(format!("data/{} {n:03}.bin", n % 7), content, n % 3 == 0)
        })
        .collect();
    files.push(Stored::new("README.md".to_owned(), b"not asked for".to_vec(), false));
    files
}

fn request(hub: &Hub, cache: &Path) -> FetchRequest {
    request_to(&hub.address, cache)
}

fn request_to(address: &str, cache: &Path) -> FetchRequest {
    FetchRequest {
        to: None,
        cache: cache.to_owned(),
        endpoints: vec![address.to_owned()],
        token: Some("secret".to_owned()),
        proxies: Proxies::default(),
        revision: None,
        offline: false,
        connections: 8,
        patience: Duration::from_millis(800),
        pause: Duration::from_millis(5),
    }
}

/// Whatever stands under a file's name is the whole file; how many are there.
fn whole(hub: &Hub, to: &Path) -> usize {
    let mut there = 0;
    for file in hub.files.iter() {
        if let Ok(content) = std::fs::read(to.join(&file.name)) {
            assert!(content == file.content, "{} is not what the hub has", file.name);
            there += 1;
        }
    }
    there
}

fn snapshot(hub: &Hub, cache: &Path) -> PathBuf {
    let commit = hub.state.lock().unwrap().commit.clone();
    cache.join("datasets--someone--sounds/snapshots").join(commit)
}

#[test]
fn a_fetch_brings_every_file_once_and_keeps_to_what_it_saw() {
    let (hub, cache) = (Hub::new(files(FILES)), tempfile::tempdir().unwrap());
    hub.state.lock().unwrap().token = Some("secret".to_owned());
    let request = request(&hub, cache.path());
    let before = plan_fetch(&SOURCE, &request).unwrap();
    assert_eq!((before.files.len(), before.bytes()), (FILES, before.missing_bytes()));
    assert_eq!(
        (
            fetched(&SOURCE, &request).unwrap(),
            std::fs::read_dir(cache.path()).unwrap().count()
        ),
        (None, 0)
    );
    let to = fetch(&SOURCE, &request, &()).unwrap();
    assert_eq!((&to, whole(&hub, &to)), (&snapshot(&hub, cache.path()), FILES));
    assert_eq!(fetched(&SOURCE, &request).unwrap().as_ref(), Some(&to));
    assert_eq!(plan_fetch(&SOURCE, &request).unwrap().missing_bytes(), 0);
    // a second fetch verifies and transfers nothing
    hub.misbehave(Fault::None, 0, 1);
    fetch(&SOURCE, &request, &()).unwrap();
    assert_eq!(hub.state.lock().unwrap().answers, 0);
    let offline = FetchRequest {
        offline: true,
        endpoints: Vec::new(),
        ..request.clone()
    };
    assert_eq!(fetch(&SOURCE, &offline, &()).unwrap(), to);
    // a damaged file is found and replaced
    let victim = to.join(&hub.files[3].name);
    let mut content = hub.files[3].content.clone();
    content[0] ^= 1;
    std::fs::write(&victim, content).unwrap();
    let message = fetch(&SOURCE, &offline, &()).unwrap_err().to_string();
    assert!(
        message.contains("data/3 003.bin is missing or not what was locked"),
        "{message}"
    );
    fetch(&SOURCE, &request, &()).unwrap();
    assert_eq!((whole(&hub, &to), hub.state.lock().unwrap().answers), (FILES, 1));
    // the hub's other programs find the snapshot
    let main = cache.path().join("datasets--someone--sounds/refs/main");
    assert_eq!(std::fs::read_to_string(main).unwrap(), hub.state.lock().unwrap().commit);
}

#[test]
fn faults_that_pass_are_got_over() {
    let hub = Hub::new(files(FILES));
    let passing = [
        (Fault::Cut, 3, 1),
        (Fault::WrongLength, 1, 1),
        (Fault::WrongHash, 1, 1),
        (Fault::Status(500, None), 2, 1),
        (Fault::Status(429, Some(0)), 2, 1),
        (Fault::Status(503, None), 1, 1),
        (Fault::Trickle, 1, FEW),
        (Fault::Silence, 1, FEW),
        (Fault::OtherCommit, 1, 1),
        (Fault::Circle, 1, 1),
    ];
    for (fault, times, every) in passing {
        let cache = tempfile::tempdir().unwrap();
        hub.misbehave(fault, times, every);
        let begun = Instant::now();
        let to = fetch(&SOURCE, &request(&hub, cache.path()), &()).unwrap();
        assert_eq!(whole(&hub, &to), FILES, "{fault:?}");
        let state = hub.state.lock().unwrap();
        println!(
            "{fault:?}: {} answers, {} resumed, {:.1?}",
            state.answers,
            state.resumed,
            begun.elapsed()
        );
        assert!(state.answers > FILES, "{fault:?} met nobody");
        // only what is not trusted is asked for from the start
        assert!(
            fault != Fault::Cut || state.resumed > FILES,
            "{} resumed",
            state.resumed
        );
    }
}

#[test]
fn faults_that_stay_end_with_their_error_and_no_false_file() {
    let hub = Hub::new(files(FILES));
    let lasting = [
        (Fault::WrongLength, "bytes, not "),
        (Fault::WrongHash, ", not "),
        (Fault::Status(500, None), "answers with status 500"),
        (Fault::Status(401, None), "is not open to this user (status 401)"),
        (Fault::Status(403, None), "is not open to this user (status 403)"),
        (Fault::Status(404, None), "does not exist"),
        (Fault::Status(416, None), "a range of the file is not to be had"),
        (Fault::Status(429, Some(9_999)), "asks for a pause of 9999 s"),
        (Fault::Silence, "cannot reach"),
        (Fault::OtherCommit, "it is of revision dddd"),
        (Fault::Circle, "redirects"),
    ];
    for (fault, words) in lasting {
        let cache = tempfile::tempdir().unwrap();
        hub.misbehave(fault, u32::MAX, FEW);
        let request = request(&hub, cache.path());
        let message = fetch(&SOURCE, &request, &())
            .map(|_| format!("{fault:?} ended well"))
            .unwrap_err()
            .to_string();
        assert!(message.contains(words), "{fault:?}: {message}");
        assert!(whole(&hub, &snapshot(&hub, cache.path())) < FILES, "{fault:?}");
        assert_eq!(fetched(&SOURCE, &request).unwrap(), None, "{fault:?}");
        // once the fault is gone the same fetch ends right
        hub.misbehave(Fault::None, 0, 1);
        let to = fetch(&SOURCE, &request, &()).unwrap();
        assert_eq!(whole(&hub, &to), FILES, "{fault:?}");
    }
}

#[test]
fn a_hub_without_ranges_is_asked_for_the_whole() {
    let (hub, cache) = (Hub::new(files(3)), tempfile::tempdir().unwrap());
    let request = request(&hub, cache.path());
    // what a killed fetch leaves: the lock file, and the first half of each file
    hub.misbehave(Fault::Status(404, None), u32::MAX, 1);
    fetch(&SOURCE, &request, &()).unwrap_err();
    let place = HubFolders::new(&SOURCE, &request);
    let locked = LockFile::read(&place.lock_file()).unwrap().unwrap();
    for (listed, stored) in locked.listing().files.iter().zip(hub.files.iter()) {
        assert_eq!(listed.name, stored.name);
        std::fs::write(part(&place, listed), &stored.content[..stored.content.len() / 2]).unwrap();
    }
    hub.misbehave(Fault::NoRanges, u32::MAX, 1);
    let to = fetch(&SOURCE, &request, &()).unwrap();
    assert_eq!((whole(&hub, &to), hub.state.lock().unwrap().resumed), (3, 0));
}

#[test]
fn the_pause_that_the_hub_asks_for_is_kept() {
    let (hub, cache) = (Hub::new(files(4)), tempfile::tempdir().unwrap());
    hub.misbehave(Fault::Status(429, Some(1)), 1, 1);
    let begun = Instant::now();
    fetch(&SOURCE, &request(&hub, cache.path()), &()).unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[test]
fn a_listing_that_is_not_to_be_had_is_the_right_error() {
    let (hub, cache) = (Hub::new(files(4)), tempfile::tempdir().unwrap());
    let request = request(&hub, cache.path());
    for (status, words) in [
        (401, "status 401"),
        (403, "status 403"),
        (404, "does not exist"),
        (500, "status 500"),
    ] {
        hub.state.lock().unwrap().listing = Some(status);
        let message = fetch(&SOURCE, &request, &()).unwrap_err().to_string();
        assert!(message.contains(words), "{status}: {message}");
    }
    hub.state.lock().unwrap().listing = None;
    hub.state.lock().unwrap().token = Some("another".to_owned());
    assert!(matches!(
        plan_fetch(&SOURCE, &request),
        Err(FetchError::Refused { status: 401, .. })
    ));
    let nothing = HubSource {
        files: &["*.wav"],
        ..SOURCE
    };
    hub.state.lock().unwrap().token = None;
    assert!(
        fetch(&nothing, &request, &())
            .unwrap_err()
            .to_string()
            .contains("no file is like *.wav")
    );
}

#[test]
fn a_name_that_leads_out_of_the_folder_is_refused() {
    let outside = Stored::new("data/../../../up.bin".to_owned(), vec![1], false);
    let (hub, cache) = (Hub::new(vec![outside]), tempfile::tempdir().unwrap());
    let message = fetch(&SOURCE, &request(&hub, cache.path()), &())
        .unwrap_err()
        .to_string();
    assert!(message.contains("leads out"), "{message}");
}

#[test]
fn a_moved_revision_is_refused_and_the_locked_one_stays_to_be_had() {
    let (hub, cache) = (Hub::new(files(4)), tempfile::tempdir().unwrap());
    let mut request = request(&hub, cache.path());
    let to = fetch(&SOURCE, &request, &()).unwrap();
    hub.state.lock().unwrap().commit = "e".repeat(40);
    let error = fetch(&SOURCE, &request, &()).unwrap_err();
    assert!(
        matches!(&error, FetchError::Moved { now, .. } if *now == "e".repeat(40)),
        "{error}"
    );
    assert!(plan_fetch(&SOURCE, &request).is_err());
    request.offline = true;
    assert_eq!(fetch(&SOURCE, &request, &()).unwrap(), to);
    request.offline = false;
    hub.state.lock().unwrap().commit = "c".repeat(40);
    request.revision = Some("c".repeat(40));
    assert_eq!(fetch(&SOURCE, &request, &()).unwrap(), to);
}

#[test]
fn a_mirror_stands_in_and_is_held_to_the_lock_file() {
    let (hub, folder) = (Hub::new(files(4)), tempfile::tempdir().unwrap());
    let mut request = request(&hub, folder.path());
    request.to = Some(folder.path().join("own"));
    // nobody listens on the port of a listener that is gone
    let gone = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    request.endpoints.insert(0, format!("http://{gone}"));
    let to = fetch(&SOURCE, &request, &()).unwrap();
    assert_eq!(
        (to, whole(&hub, &folder.path().join("own"))),
        (folder.path().join("own"), 4)
    );
    // of the very same commit, a mirror that lists something else is not believed
    let mut others = files(4);
    others[1] = Stored::new(others[1].name.clone(), vec![0], false);
    let liar = Hub::new(others);
    request.endpoints = vec![liar.address.clone()];
    let error = fetch(&SOURCE, &request, &()).unwrap_err();
    assert!(
        matches!(&error, FetchError::Differs { file, .. } if file == "data/1 001.bin"),
        "{error}"
    );
}

#[test]
fn two_fetches_at_once_take_turns() {
    let (hub, cache) = (Hub::new(files(40)), tempfile::tempdir().unwrap());
    let request = request(&hub, cache.path());
    std::thread::scope(|scope| {
        let fetches: Vec<_> = (0..3).map(|_| scope.spawn(|| fetch(&SOURCE, &request, &()))).collect();
        for fetch in fetches {
            assert_eq!(whole(&hub, &fetch.join().unwrap().unwrap()), 40);
        }
    });
    // an empty file is whole before it is asked for
    let asked = hub
        .files
        .iter()
        .filter(|file| file.name.starts_with("data/") && !file.content.is_empty());
    assert_eq!(
        hub.state.lock().unwrap().answers,
        asked.count(),
        "a file was fetched twice"
    );
}

const CHILD: &str = "BRIDLE_TEST_FETCH";

/// Not a test of its own: the process that the next test kills. It fetches what
/// `$BRIDLE_TEST_FETCH` says.
#[test]
fn a_process_to_be_killed() {
    let Ok(what) = std::env::var(CHILD) else { return };
    let (address, cache) = what.split_once(' ').unwrap();
    let hub = Hub::new(Vec::new());
    let request = FetchRequest {
        endpoints: vec![address.to_owned()],
        ..request(&hub, Path::new(cache))
    };
    fetch(&SOURCE, &request, &()).unwrap();
}

#[test]
fn after_ten_kills_the_next_fetch_completes() {
    let (hub, cache) = (Hub::new(files(FILES)), tempfile::tempdir().unwrap());
    let mut draws = Seed::root(11).stream();
    let mut there = 0;
    for kill in 0..10 {
        // some of the parts are left in the middle of a file by the hub itself
        hub.misbehave(Fault::Cut, 1, 2);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "hub::tests::a_process_to_be_killed"])
            .env(CHILD, format!("{} {}", hub.address, cache.path().display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // a random moment, counted in answers so that a slow machine is killed in the middle too
        let (moment, begun) = (1 + draws.below(20), Instant::now());
        while hub.state.lock().unwrap().answers < moment && begun.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(Duration::from_millis(1));
        }
        // SIGKILL
        child.kill().unwrap();
        child.wait().unwrap();
        let now = whole(&hub, &snapshot(&hub, cache.path()));
        println!("kill {kill} after {moment} answers: {now} files");
        assert!(now >= there && now < FILES, "{now} files after {there}");
        there = now;
        assert_eq!(fetched(&SOURCE, &request(&hub, cache.path())).unwrap(), None);
    }
    hub.misbehave(Fault::None, 0, 1);
    let to = fetch(&SOURCE, &request(&hub, cache.path()), &()).unwrap();
    assert_eq!(whole(&hub, &to), FILES);
    assert!(hub.state.lock().unwrap().answers < FILES, "it began anew");
}

#[test]
fn a_star_stands_for_anything() {
    let fits = |pattern, name| listing::fits(pattern, name);
    assert!(fits("data/*.parquet", "data/train-0.parquet") && fits("*", "") && fits("a*b*c", "a--b--c"));
    assert!(!fits("data/*.parquet", "data/train-0.tar") && !fits("a", "ab") && !fits("a*b*c", "acb"));
    assert!(fits("*é", "caf\u{e9}"));
}

/// Somebody who agrees to nothing, and notes what was asked.
#[derive(Default)]
struct Refusing(Mutex<Vec<u64>>);

impl Progress for Refusing {
    fn start(&self, _what: &str, _total: u64) {}
    fn advance(&self, _by: u64) {}
    fn finish(&self) {}
    fn may_fetch(&self, _source: &str, bytes: u64) -> bool {
        self.0.lock().unwrap().push(bytes);
        false
    }
}

#[test]
fn much_is_fetched_only_where_somebody_agrees() {
    let (cache, progress) = (tempfile::tempdir().unwrap(), Refusing::default());
    let request = request_to("http://127.0.0.1:9", cache.path());
    let place = HubFolders::new(&SOURCE, &request);
    let listing = |size: u64| HubListing {
        revision: "c".repeat(40),
        files: vec![HubFile {
            name: "data/a.bin".to_owned(),
            size,
            oid: "d".repeat(40),
            pointed: false,
            sha256: None,
        }],
    };
    assert!(agreed(&SOURCE, &place, &listing(AGREED), &progress).is_ok());
    assert_eq!(
        progress.0.lock().unwrap()[..],
        [] as [u64; 0],
        "little is not asked about"
    );
    let error = agreed(&SOURCE, &place, &listing(3 * AGREED), &progress).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("is 3.0 GB to fetch, which nobody agreed to"),
        "{error}"
    );
    assert_eq!(progress.0.lock().unwrap()[..], [3 * AGREED]);
    assert!(agreed(&SOURCE, &place, &listing(3 * AGREED), &()).is_ok());
}
