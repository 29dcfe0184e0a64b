//! Laws of clips on videos whose every frame is known, on real files, and on broken ones.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bridle_seed::Seed;

use super::*;
use crate::fixtures::outside_data;
use crate::media::image::Region;

const WIDTH: usize = 32;
const HEIGHT: usize = 16;

/// The programs. Without them the test has nothing to say, which is a failure where
/// `$BRIDLE_REQUIRE_DATA` is 1.
pub(crate) fn programs() -> Option<Ffmpeg> {
    match Ffmpeg::find() {
        Ok(programs) => Some(programs),
        Err(error) => {
            let required = std::env::var("BRIDLE_REQUIRE_DATA").is_ok_and(|value| value == "1");
            assert!(!required, "{error}, and $BRIDLE_REQUIRE_DATA is 1");
            eprintln!("needs an outside program: {error}");
            None
        }
    }
}

/// A picture that tells the number of its frame: red says it, green grows to the right, blue
/// downwards.
fn pixel(frame: usize, x: usize, y: usize) -> [u8; 3] {
    [(3 * frame) as u8, (7 * x) as u8, (15 * y) as u8]
}

/// A video of `frames` such pictures, without loss, at a rate that these filters of ffmpeg may
/// change.
fn video(folder: &Path, frames: usize, filters: &str, name: &str) -> PathBuf {
    let path = folder.join(name);
    let size = format!("{WIDTH}x{HEIGHT}");
    let input = [
        "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", &size, "-r", "10", "-i", "-",
    ];
    let codec: &[&str] = match name.ends_with("mkv") {
        true => &["-c:v", "ffv1", "-pix_fmt", "bgr0"],
        false => &["-c:v", "mpeg4", "-q:v", "1"],
    };
    let mut child = Command::new("ffmpeg")
        .args(input)
        .args(["-vf", filters])
        .args(codec)
        .arg(&path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let places = (0..frames).flat_map(|frame| (0..HEIGHT).flat_map(move |y| (0..WIDTH).map(move |x| (frame, x, y))));
    let bytes: Vec<u8> = places.flat_map(|(frame, x, y)| pixel(frame, x, y)).collect();
    child.stdin.take().unwrap().write_all(&bytes).unwrap();
    assert!(child.wait().unwrap().success());
    path
}

/// The numbers of a clip's frames, read in its pictures.
fn numbers(clip: &Clip) -> Vec<usize> {
    let size = 3 * clip.width * clip.height;
    clip.rgb
        .chunks_exact(size)
        .map(|picture| usize::from(picture[0]) / 3)
        .collect()
}

#[test]
fn frames_are_those_asked_for_to_the_last_bit() {
    let Some(programs) = programs() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = video(folder.path(), 50, "null", "a.mkv");
    let facts = programs.probe(&file).unwrap();
    assert_eq!(
        (facts.frames, facts.width, facts.height, facts.rotation),
        (50, WIDTH, HEIGHT, 0)
    );
    for (start, count, stride) in [(0, 50, 1), (7, 8, 4), (1, 3, 24), (49, 1, 1), (3, 47, 1)] {
        let clip = programs
            .take(&file, &facts, Frames { start, count, stride }, Framing::Whole)
            .unwrap();
        let wanted = (0..count).map(|number| start as usize + number * stride);
        assert_eq!(numbers(&clip), wanted.collect::<Vec<_>>());
        let last = start as usize + (count - 1) * stride;
        let expected = (0..HEIGHT)
            .flat_map(|y| (0..WIDTH).map(move |x| pixel(last, x, y)))
            .flatten();
        assert!(
            clip.rgb[3 * WIDTH * HEIGHT * (count - 1)..]
                .iter()
                .copied()
                .eq(expected)
        );
    }
}

#[test]
fn a_short_video_repeats_its_last_frame() {
    let Some(programs) = programs() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = video(folder.path(), 10, "null", "short.mkv");
    let facts = programs.probe(&file).unwrap();
    let take = |start, count, stride| {
        numbers(
            &programs
                .take(&file, &facts, Frames { start, count, stride }, Framing::Whole)
                .unwrap(),
        )
    };
    assert_eq!(take(0, 5, 4), [0, 4, 8, 8, 8]);
    assert_eq!(take(9, 3, 1), [9, 9, 9]);
    assert_eq!(take(500, 2, 1), [9, 9]);
    for view in ClipView::test(&facts, 16, 4, 5) {
        assert_eq!(view.frames.start, 0);
    }
}

#[test]
fn frames_count_whatever_their_times_are() {
    let Some(programs) = programs() else { return };
    let folder = tempfile::tempdir().unwrap();
    // the n-th frame is shown at n * n / 5 s, and every third is not there
    let file = video(folder.path(), 30, "select='mod(n,3)',setpts='N*N/5/TB'", "variable.mkv");
    let facts = programs.probe(&file).unwrap();
    let expected: Vec<usize> = (0..30).filter(|frame| frame % 3 != 0).collect();
    let frames = Frames {
        start: 2,
        count: 6,
        stride: 3,
    };
    let clip = programs.take(&file, &facts, frames, Framing::Whole).unwrap();
    assert_eq!(facts.frames as usize, expected.len());
    assert_eq!(
        numbers(&clip),
        expected.iter().copied().skip(2).step_by(3).collect::<Vec<_>>()
    );
}

#[test]
fn pictures_are_turned_upright() {
    let Some(programs) = programs() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = video(folder.path(), 5, "null", "turned.mp4");
    let mut bytes = std::fs::read(&file).unwrap();
    // the matrix in the track's header: a quarter turn clockwise
    let header = bytes.windows(4).position(|window| window == b"tkhd").unwrap() + 44;
    for (place, value) in [0u32, 0x1_0000, 0, 0xffff_0000, 0, 0, 0, 0, 0x4000_0000]
        .into_iter()
        .enumerate()
    {
        bytes[header + 4 * place..][..4].copy_from_slice(&value.to_be_bytes());
    }
    std::fs::write(&file, bytes).unwrap();
    let facts = programs.probe(&file).unwrap();
    assert_eq!((facts.width, facts.height, facts.rotation.abs()), (HEIGHT, WIDTH, 90));
    let clip = programs
        .take(
            &file,
            &facts,
            Frames {
                start: 2,
                count: 1,
                stride: 1,
            },
            Framing::Whole,
        )
        .unwrap();
    // blue grows downwards in the stored picture, and so to the left in the upright one
    let blue = |x: usize, y: usize| clip.rgb[3 * (y * HEIGHT + x) + 2];
    assert!(blue(1, 16) > blue(8, 16) && blue(8, 16) > blue(14, 16));
}

#[test]
fn squares_lie_along_the_long_edge() {
    let Some(programs) = programs() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = video(folder.path(), 20, "null", "a.mkv");
    let facts = programs.probe(&file).unwrap();
    let views = ClipView::test(&facts, 4, 2, 5);
    let starts: Vec<u64> = views.iter().step_by(3).map(|view| view.frames.start).collect();
    assert_eq!(starts, [0, 3, 6, 9, 13]);
    let clips: Vec<Clip> = views[..3]
        .iter()
        .map(|&view| programs.view(&file, &facts, view, HEIGHT).unwrap())
        .collect();
    let green: Vec<u8> = clips.iter().map(|clip| clip.rgb[1]).collect();
    assert_eq!(green, [0, 7 * 8, 7 * 16]);
    let middle = programs
        .view(&file, &facts, ClipView::evaluation(&facts, 4, 2), HEIGHT)
        .unwrap();
    assert_eq!(
        (middle.frames, middle.width, middle.height, middle.rgb[1]),
        (4, HEIGHT, HEIGHT, 56)
    );
    assert_eq!(numbers(&middle)[0], 6);
}

#[test]
fn training_views_are_within_the_video_and_differ_by_their_stream() {
    let facts = VideoFacts {
        stream: 0,
        width: 340,
        height: 256,
        rotation: 0,
        frames: 100,
        seconds: None,
        time_base: String::new(),
    };
    let augment = VideoAugment {
        area: [0.08, 1.0],
        ratio: [0.75, 4.0 / 3.0],
        mirror: true,
    };
    let root = Seed::root(3);
    let draw = |index: u64| ClipView::training(&facts, 16, 4, &augment, &mut root.indexed(index).stream());
    let (mut starts, mut mirrored) = (std::collections::BTreeSet::new(), 0);
    for view in (0..2_000).map(draw) {
        let ViewPlace::Part { region, mirrored: this } = view.place else {
            panic!("{view:?}")
        };
        assert!(
            region.left + region.width <= 340 && region.top + region.height <= 256,
            "{region:?}"
        );
        let share = (region.width * region.height) as f64 / (340.0 * 256.0);
        let ratio = region.width as f64 / region.height as f64;
        assert!(
            (0.078..1.0).contains(&share) && (0.73..1.37).contains(&ratio),
            "{region:?}"
        );
        starts.insert(view.frames.start);
        mirrored += usize::from(this);
    }
    assert_eq!(starts, (0..40).collect());
    // 1,000 expected, standard deviation 22
    assert!((900..1_100).contains(&mirrored));
    assert_eq!(draw(5), draw(5));
}

#[test]
fn crops_and_mirrors_move_pixels_and_nothing_else() {
    let places = (0..2).flat_map(|frame| (0..3).flat_map(move |y| (0..4).map(move |x| (frame, x, y))));
    let rgb: Vec<u8> = places.flat_map(|(frame, x, y)| pixel(frame, x, y)).collect();
    let clip = Clip {
        frames: 2,
        width: 4,
        height: 3,
        rgb,
    };
    assert_eq!(
        clip.crop(Region {
            left: 0,
            top: 0,
            width: 4,
            height: 3
        }),
        clip
    );
    assert_eq!(clip.mirrored().mirrored(), clip);
    let part = clip.crop(Region {
        left: 1,
        top: 1,
        width: 2,
        height: 1,
    });
    assert_eq!(
        part.rgb,
        [pixel(0, 1, 1), pixel(0, 2, 1), pixel(1, 1, 1), pixel(1, 2, 1)].concat()
    );
    assert_eq!(part.mirrored().rgb[..6], [pixel(0, 2, 1), pixel(0, 1, 1)].concat());
    let planes = part.planes();
    assert_eq!(planes[..4], [0.0, 0.0, 3.0 / 255.0, 3.0 / 255.0]);
    assert_eq!(planes[4], 7.0 / 255.0);
}

#[test]
fn real_files_give_the_frames_of_a_whole_decoding() {
    let (Some(programs), Some(data)) = (programs(), outside_data("kinetics-mini")) else {
        return;
    };
    // (file, frames of the best stream, its number, size)
    let known = [
        ("extra/big_buck_bunny_small.mp4", 132, 0, (320, 240)),
        ("extra/flipping_a_pancake.mkv", 310, 0, (426, 240)),
        ("extra/nasa_13013.mp4", 390, 3, (480, 270)),
        ("train/cars_driving/cars_driving_00.mp4", 25, 0, (342, 192)),
    ];
    for (name, frames, stream, size) in known {
        let file = data.join(name);
        let facts = programs.probe(&file).unwrap();
        assert_eq!(
            (facts.frames, facts.stream, (facts.width, facts.height)),
            (frames, stream, size),
            "{name}"
        );
        let all = Frames {
            start: 0,
            count: facts.frames as usize,
            stride: 1,
        };
        let all = programs.take(&file, &facts, all, Framing::ShortSide(64)).unwrap();
        let picture = 3 * all.width * all.height;
        let some = Frames {
            start: 5,
            count: 4,
            stride: 5,
        };
        let clip = programs.take(&file, &facts, some, Framing::ShortSide(64)).unwrap();
        for (number, found) in clip.rgb.chunks_exact(picture).enumerate() {
            assert!(
                found == &all.rgb[(5 + 5 * number) * picture..][..picture],
                "{name}: frame {number} of the clip"
            );
        }
    }
}

#[test]
fn views_of_a_kept_video_are_those_of_its_file() {
    let (Some(programs), Some(data)) = (programs(), outside_data("kinetics-mini")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    // whole seconds and parts of one, a film of many frames, one with fewer than a clip, one of odd
    // size
    let odd = video(folder.path(), 9, "crop=31:15:1:1:exact=1", "odd.mkv");
    let files = [
        data.join("train/cars_driving/cars_driving_00.mp4"),
        data.join("extra/flipping_a_pancake.mkv"),
        data.join("extra/nasa_13013.mp4"),
        odd,
    ];
    let root = Seed::root(21);
    for (file, seed) in files.iter().flat_map(|file| (0..4).map(move |seed| (file, seed))) {
        let facts = programs.probe(file).unwrap();
        let frames = Frames {
            start: 0,
            count: facts.frames as usize,
            stride: 1,
        };
        let whole = programs.take(file, &facts, frames, Framing::Whole).unwrap();
        let stream = &mut root.indexed(seed).stream();
        let view = ClipView::training(&facts, 16, 4, &VideoAugment::fine_tuning(), stream);
        let ViewPlace::Part { region, mirrored } = view.place else {
            panic!("{view:?}")
        };
        let of_file = programs.view(file, &facts, view, 48).unwrap();
        assert!(
            whole.part(view.frames, region, mirrored, 48) == of_file,
            "{}: {view:?}",
            file.display()
        );
        assert_eq!((of_file.frames, of_file.width, of_file.height), (16, 48, 48));
    }
}

/// Mutations of small real and made files. Each is a process or two, so that CI runs few of them;
/// `BRIDLE_FUZZ=1000` runs more.
#[test]
fn fuzzed_files_are_errors_or_clips_and_never_a_hang() {
    let Some(programs) = programs() else { return };
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(video(folder.path(), 12, "null", "whole.mp4")).unwrap();
    let count = crate::fixtures::fuzz_inputs(40);
    let (file, mut refused, root) = (folder.path().join("damaged.mp4"), 0, Seed::root(11));
    for number in 0..count {
        let stream = &mut root.indexed(number).stream();
        std::fs::write(&file, crate::fixtures::mutated(&whole, stream)).unwrap();
        let begun = Instant::now();
        let outcome = programs.probe(&file).and_then(|facts| {
            let view = ClipView::evaluation(&facts, 4, 2);
            programs.view(&file, &facts, view, 16)
        });
        match outcome {
            Ok(clip) => assert_eq!(clip.rgb.len(), 4 * 3 * 16 * 16),
            Err(error) => {
                assert!(
                    !error.to_string().contains("damaged.mp4") && !error.to_string().contains("0x"),
                    "{error}"
                );
                refused += 1;
            }
        }
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "mutation {number} took {:?}",
            begun.elapsed()
        );
    }
    println!("{refused} of {count} refused");
    assert!(refused > count / 10);
}

#[test]
fn what_is_no_video_is_named() {
    let Some(programs) = programs() else { return };
    let folder = tempfile::tempdir().unwrap();
    let refused = |name: &str, content: &[u8]| {
        let file = folder.path().join(name);
        std::fs::write(&file, content).unwrap();
        programs.probe(&file).unwrap_err().to_string()
    };
    for (name, content) in [
        ("list.txt", &b"a shopping list, which ffmpeg would draw as a film\n"[..]),
        ("list.m3u8", b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n"),
        ("-odd: name.mp4", b"nothing"),
    ] {
        let error = refused(name, content);
        assert!(
            error.starts_with("ffprobe says: ") && !error.contains(name),
            "{name}: {error}"
        );
    }
    let sound = crate::fixtures::wav_bytes(8_000, 1, &[0.1; 800]);
    assert_eq!(refused("sound.mp4", &sound), "it is a wav file, not a video");
    assert_eq!(refused("empty.mp4", b""), "it is an empty file");
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n";
    assert_eq!(
        refused("pointer.mp4", pointer),
        "it is a pointer of Git LFS; `git lfs pull` fetches the file"
    );
    assert!(matches!(
        programs.probe(&folder.path().join("absent.mp4")),
        Err(VideoError::Refused { .. })
    ));
    let mkv = folder.path().join("sound.mkv");
    let args = ["-v", "error", "-f", "lavfi", "-i", "sine=d=0.2", "-c:a", "pcm_s16le"];
    assert!(Command::new("ffmpeg").args(args).arg(&mkv).status().unwrap().success());
    assert!(matches!(programs.probe(&mkv), Err(VideoError::NoVideo)));
}

#[test]
fn a_file_that_is_cut_off_is_named_whatever_its_container() {
    let Some(programs) = programs() else { return };
    let folder = tempfile::tempdir().unwrap();
    let h264 = [
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-g",
        "10",
        "-pix_fmt",
        "yuv420p",
    ];
    let vp9 = [
        "-c:v",
        "libvpx-vp9",
        "-deadline",
        "realtime",
        "-cpu-used",
        "8",
        "-b:v",
        "200k",
        "-c:a",
        "libopus",
    ];
    let fragments = ["-movflags", "frag_keyframe+empty_moov"];
    let first = ["-movflags", "+faststart"];
    let kinds: [(&str, Vec<&str>); 7] = [
        ("a.webm", vp9.to_vec()),
        ("a.mkv", h264.to_vec()),
        ("fragments.mp4", [&h264[..], &fragments].concat()),
        ("first.mp4", [&h264[..], &first].concat()),
        // its index is the last part
        ("last.mov", h264.to_vec()),
        ("a.avi", vec!["-c:v", "mpeg4"]),
        ("a.mpg", vec!["-c:v", "mpeg2video"]),
    ];
    for (name, codec) in kinds {
        let path = folder.path().join(name);
        // sound that is longer than the pictures is no fault
        let inputs = "-v error -f lavfi -i testsrc2=size=64x48:rate=25:duration=3 -f lavfi -i sine=duration=5 -ac 1";
        let mut ffmpeg = Command::new("ffmpeg");
        assert!(
            ffmpeg
                .args(inputs.split(' '))
                .args(codec)
                .arg(&path)
                .status()
                .unwrap()
                .success()
        );
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(programs.probe(&path).unwrap().frames, 75, "{name}");
        for percent in [97, 90, 50, 30] {
            // not between two packs of a program stream, which says nothing of its length
            std::fs::write(&path, &whole[..whole.len() * percent / 100 - 3]).unwrap();
            let error = programs.probe(&path).map(|_| ()).unwrap_err();
            assert!(
                matches!(error, VideoError::EndsEarly(_)),
                "{percent} % of {name}: {error}"
            );
        }
    }
}

#[test]
fn a_picture_among_videos_is_named() {
    let Some(programs) = programs() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.mp4");
    std::fs::write(&file, b"GIF89a\x01\0\x01\0\0\0\0;").unwrap();
    let error = programs.probe(&file).unwrap_err().to_string();
    assert_eq!(error, "it is a GIF picture, not a video");
}
