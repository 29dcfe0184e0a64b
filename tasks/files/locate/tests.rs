//! Where data is looked for, in which order, and an empty machine that gets ESC-50 from the hub.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use std::process::Command;
use std::time::Duration;

use super::*;
use crate::fixtures::archives::{Column, Files, parquet_of};
use crate::hub::tests::server::{Hub, REPOSITORY, Stored};
use crate::{HubKind, Limits, OpenRequest, find};

/// Tells a child of the test where its cache is, and whether it may use the network.
const CHILD: &str = "BRIDLE_LOCATE_TEST";
const HUB: HubSource = HubSource {
    kind: HubKind::DataSet,
    repository: REPOSITORY,
    revision: None,
    files: &["data/*.parquet"],
    licence: "none",
    gated: false,
};

fn origin(hub: Option<HubSource<'static>>) -> Origin {
    Origin {
        hub,
        may_be_file: true,
        ..Origin::folder("esc50", "the.org/esc")
    }
}

fn hub_request(cache: &Path, endpoint: &str, offline: bool) -> FetchRequest {
    FetchRequest {
        to: None,
        cache: cache.to_owned(),
        endpoints: vec![endpoint.to_owned()],
        token: None,
        proxies: crate::Proxies::default(),
        revision: None,
        offline,
        connections: 2,
        patience: Duration::from_millis(800),
        pause: Duration::from_millis(1),
    }
}

#[test]
fn what_is_given_comes_before_all_data_the_cache_and_the_hub() {
    let folder = tempfile::tempdir().unwrap();
    let (given, all, cache) = (
        folder.path().join("a.zip"),
        folder.path().join("all"),
        folder.path().join("hub"),
    );
    std::fs::create_dir_all(all.join("esc50")).unwrap();
    std::fs::write(&given, "").unwrap();
    let server = Hub::new(vec![Stored::new(
        "data/a.parquet".to_owned(),
        b"content".to_vec(),
        true,
    )]);
    let answers = || server.state.lock().unwrap().answers;
    let look = |given: Option<&Path>, all: Option<&Path>, source, offline| {
        let hub = hub_request(&cache, &server.address, offline);
        origin(source)
            .locate_in(given, all.map(Path::as_os_str), &hub, &())
            .map_err(|error| error.to_string())
    };
    let empty = folder.path();
    assert_eq!(look(Some(&given), Some(&all), Some(HUB), false).unwrap(), given);
    assert_eq!(look(None, Some(&all), Some(HUB), false).unwrap(), all.join("esc50"));
    insta::assert_snapshot!(look(Some(Path::new("no/such")), Some(&all), Some(HUB), false).unwrap_err(), @"the esc50 data folder no/such does not exist; the original is at the.org/esc");
    insta::assert_snapshot!(look(None, None, Some(HUB), true).unwrap_err(), @"no folder for the esc50 data was given and $BRIDLE_DATA is not set; the original is at the.org/esc, and its unpacked folder is given as --data, or as esc50/ within $BRIDLE_DATA; `bridle-bench fetch` brings a copy into the hub's cache");
    let told = look(None, Some(empty), Some(HUB), true).unwrap_err();
    assert!(
        told.ends_with("esc50 does not exist; the original is at the.org/esc"),
        "{told}"
    );
    insta::assert_snapshot!(look(None, None, None, false).unwrap_err(), @"no folder for the esc50 data was given and $BRIDLE_DATA is not set; the original is at the.org/esc, and its unpacked folder is given as --data, or as esc50/ within $BRIDLE_DATA");
    assert_eq!(answers(), 0);
    let fetched = look(None, Some(empty), Some(HUB), false).unwrap();
    assert_eq!(
        (std::fs::read(fetched.join("data/a.parquet")).unwrap(), answers()),
        (b"content".to_vec(), 1)
    );
    // from now on it is there, with and without the network
    assert_eq!(look(None, None, Some(HUB), true).unwrap(), fetched);
    server.state.lock().unwrap().listing = Some(500);
    assert_eq!(look(None, None, Some(HUB), false).unwrap(), fetched);
    // what is no longer whole is as good as absent
    std::fs::write(fetched.join("data/a.parquet"), "cut").unwrap();
    assert!(look(None, None, Some(HUB), true).is_err());
    let told = look(None, None, Some(HUB), false).unwrap_err();
    assert!(
        told.starts_with("the esc50 data is not on this machine and could not be fetched"),
        "{told}"
    );
}

#[test]
fn data_that_is_never_fetched_must_be_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("esc50")).unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let all = Some(folder.path().as_os_str());
    let hub = hub_request(folder.path(), "http://127.0.0.1:9", false);
    let locate = |given: Option<&Path>, all| Origin::folder("esc50", "the.org/esc").locate_in(given, all, &hub, &());
    let error = |given, all| locate(given, all).unwrap_err().to_string();
    let nowhere = Some(OsStr::new("nowhere"));
    assert_eq!(locate(Some(folder.path()), nowhere).unwrap(), folder.path());
    assert_eq!(locate(None, all).unwrap(), folder.path().join("esc50"));
    assert!(error(Some(&file), all).ends_with("file does not exist; the original is at the.org/esc"));
    insta::assert_snapshot!(error(Some(Path::new("no/such/folder")), all), @"the esc50 data folder no/such/folder does not exist; the original is at the.org/esc");
    insta::assert_snapshot!(error(None, nowhere), @"the esc50 data folder nowhere/esc50 does not exist; the original is at the.org/esc");
    assert!(error(None, None).starts_with("no folder for the esc50 data was given and $BRIDLE_DATA is not set"));
}

/// Every clip of a made-up ESC-50: 5 s at the lowest rate, of one value each.
fn tables() -> Vec<Stored> {
    let classes = find("esc50").unwrap().spec().classes;
    let clips: Vec<(i64, usize)> = (0..2_000).map(|n| (1 + n / 400, (n % 50) as usize)).collect();
    let name = |n: usize| format!("{}-{n}-A-{}.wav", clips[n].0, clips[n].1);
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 1_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let content = |n: usize| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
        (0..5_000).for_each(|at| writer.write_sample(((at % (n + 2)) * 10) as i16).unwrap());
        writer.finalize().unwrap();
        bytes.into_inner()
    };
    let table = |numbers: std::ops::Range<usize>| {
        let of = |n: usize| clips[n];
        let files: Files = numbers.clone().map(|n| (name(n), content(n))).collect();
        let columns = [
            Column::Texts("filename", numbers.clone().map(name).collect()),
            Column::Numbers("fold", numbers.clone().map(|n| of(n).0).collect()),
            Column::Numbers("target", numbers.clone().map(|n| of(n).1 as i64).collect()),
            Column::Texts("category", numbers.clone().map(|n| classes[of(n).1].clone()).collect()),
            Column::Files("audio", files),
        ];
        parquet_of(&columns, 100)
    };
    let shard = |n: usize| {
        let name = format!("data/train-0000{n}-of-00002.parquet");
        Stored::new(name, table(1_000 * n..1_000 * (n + 1)), true)
    };
    (0..2).map(shard).collect()
}

/// The other program of the next test: opens the task, and nothing else.
#[test]
fn a_process_on_an_empty_machine() {
    let Ok(told) = std::env::var(CHILD) else { return };
    let (cache, offline) = told.split_once(' ').unwrap();
    let task = find("esc50").unwrap();
    let request = OpenRequest {
        data: None,
        offline: offline == "offline",
        input: task.spec().input,
        subset: Some(1),
        allow_different: false,
        cache: PathBuf::from(cache),
        threads: 0,
        limits: Limits::default(),
    };
    let data = task.open(&request, &()).unwrap();
    assert_eq!((data.facts.variant.as_str(), data.samples.len()), ("hub-parquet", 50));
    assert!(data.facts.skipped.is_empty() && data.facts.manifest_sha256.len() == 64);
}

#[test]
fn an_empty_machine_runs_esc50_from_the_hub_and_then_without_it() {
    let (home, server) = (tempfile::tempdir().unwrap(), Hub::of("ashraq/esc50", tables()));
    let open = |endpoint: &str, features: &str, network: &str| {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "files::locate::tests::a_process_on_an_empty_machine"])
            .env_remove("BRIDLE_DATA")
            .env_remove("HF_HUB_CACHE")
            .env_remove("HF_HUB_OFFLINE")
            .env_remove("HF_TOKEN")
            .env("HF_HOME", home.path().join("hf"))
            .env("HF_ENDPOINT", endpoint)
            .env(CHILD, format!("{} {network}", home.path().join(features).display()))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    };
    open(&server.address, "first", "online");
    let answers = server.state.lock().unwrap().answers;
    assert_eq!(answers, 2, "each file once");
    // features of its own, so that the tables are read again; nobody listens at the address
    open("http://127.0.0.1:9", "second", "online");
    open("http://127.0.0.1:9", "third", "offline");
    assert_eq!(server.state.lock().unwrap().answers, answers);
}
