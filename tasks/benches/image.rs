//! Jpeg files to views of 224 pixels in one thread: decoding, cropping, resizing, as `image.py`
//! beside it does.
//!
//! `BRIDLE_DATA=DIR cargo bench -p bridle-tasks --bench image`, with imagenet-samples256 in DIR.
//! The centres are held to the slow plain version before anything is timed.

use std::hint::black_box;
use std::path::{Path, PathBuf};

use bridle_seed::Seed;
use bridle_tasks::{Picture, Region, Resizer, decode_image, random_region};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

#[path = "../media/image/crop/tests/plain.rs"]
mod plain;

const SIDE: usize = 224;
/// Every so many of the 400 files; `image.py` takes the same ones.
const EVERY: usize = 10;

fn files() -> Option<Vec<Vec<u8>>> {
    let root = PathBuf::from(std::env::var_os("BRIDLE_DATA")?).join("imagenet-samples256");
    let within = |folder: &Path| {
        std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
    };
    let classes = within(&root).collect::<Vec<_>>();
    let mut paths: Vec<PathBuf> = classes.iter().flat_map(|class| within(class)).collect();
    paths.sort();
    let files: Vec<Vec<u8>> = paths
        .iter()
        .step_by(EVERY)
        .filter_map(|path| std::fs::read(path).ok())
        .collect();
    (!files.is_empty()).then_some(files)
}

fn picture(file: &[u8]) -> Picture {
    decode_image(file).expect("a whole jpeg")
}

/// A timing counts only if the fast centres are the plain ones.
fn check(files: &[Vec<u8>]) {
    for file in files.iter().step_by(8) {
        let picture = picture(file);
        let (fast, slow) = (
            Resizer::default().centre(&picture, SIDE),
            plain::plain_centre(&picture, SIDE),
        );
        let apart = fast.rgb.iter().zip(&slow.rgb).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(apart <= Some(2), "bytes differ by {apart:?}");
        let region = Region {
            left: 3,
            top: 5,
            width: 100,
            height: 120,
        };
        let (fast, cut) = (
            Resizer::default().square(&picture, region, SIDE),
            plain::cut(&picture, region),
        );
        let slow = plain::plainly(&cut, SIDE, SIDE);
        let apart = fast.rgb.iter().zip(&slow.rgb).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(apart <= Some(2), "bytes differ by {apart:?}");
    }
}

fn views(criterion: &mut Criterion) {
    let Some(files) = files() else {
        eprintln!("needs outside data: imagenet-samples256 in $BRIDLE_DATA");
        return;
    };
    check(&files);
    let mut group = criterion.benchmark_group(format!("{} jpeg files", files.len()));
    group.throughput(Throughput::Elements(files.len() as u64));
    group.bench_function("decode", |bench| {
        bench.iter(|| files.iter().for_each(|file| drop(black_box(picture(file)))))
    });
    let mut resizer = Resizer::default();
    group.bench_function("decode, centre of 224", |bench| {
        bench.iter(|| {
            files
                .iter()
                .for_each(|file| drop(black_box(resizer.centre(&picture(file), SIDE))))
        })
    });
    let mut stream = Seed::root(0).stream();
    group.bench_function("decode, random region to 224", |bench| {
        bench.iter(|| {
            files.iter().for_each(|file| {
                let picture = picture(file);
                let region = random_region(picture.width, picture.height, [0.2, 1.0], &mut stream);
                black_box(resizer.square(&picture, region, SIDE));
            })
        })
    });
    group.finish();
}

criterion_group!(benches, views);
criterion_main!(benches);
