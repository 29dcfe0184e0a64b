//! A process that `tests/mpirun.rs` starts several of: does what its first argument says, and ends
//! as the program does.

use bridle_ranks::nccl::{self, Buffers, Library, NcclError, Stream};
use bridle_ranks::{Holding, Patience, Ranks, RanksError, launcher, part};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// Values of rank `rank`, whose sum depends on the order of adding.
fn values(rank: usize, length: usize) -> Vec<f32> {
    let scatter = |place: usize| ((place * 2_654_435_761 + rank * 40_503) % 1_000_003) as f32 / 997.0 - 500.0;
    (0..length)
        .map(|place| scatter(place) * 10f32.powi((place % 7) as i32 - 3))
        .collect()
}

/// The sum over ranks as a balanced tree, made in one process.
fn tree<T: Copy>(mut rows: Vec<Vec<T>>, add: impl Fn(T, T) -> T) -> Vec<T> {
    while rows.len() > 1 {
        rows = rows
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => left.iter().zip(right).map(|(&l, &r)| add(l, r)).collect(),
                _ => pair[0].clone(),
            })
            .collect();
    }
    rows.remove(0)
}

/// Every operation against what one process makes of all ranks' values.
fn collectives(ranks: &Ranks) -> Result<String, RanksError> {
    let (rank, size) = (ranks.rank(), ranks.size());
    let of_all = |length: usize| (0..size).map(|rank| values(rank, length)).collect::<Vec<_>>();
    let mut bits = 0u64;
    for length in [0, 1, 2, 3, 1_000, 65_537] {
        let mut sum = values(rank, length);
        ranks.sum(&mut sum)?;
        let expected = tree(of_all(length), |l, r| l + r);
        let equal = sum
            .iter()
            .zip(&expected)
            .all(|(sum, expected)| sum.to_bits() == expected.to_bits());
        assert!(equal && sum.len() == expected.len(), "a sum of {length}");
        bits = sum
            .iter()
            .fold(bits, |bits, value| bits.rotate_left(7) ^ u64::from(value.to_bits()));

        let (mut sum, expected) = (values(rank, length), tree(of_all(length), |l, r| l + r));
        ranks.sum_by_engine(&mut sum)?;
        let scale = of_all(length)
            .concat()
            .iter()
            .fold(1.0f32, |most, value| most.max(value.abs()));
        let far = |(sum, expected): (&f32, &f32)| (sum - expected).abs() > 1e-5 * scale;
        assert!(!sum.iter().zip(&expected).any(far), "MPI's own sum of {length}");

        let double = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<_>>();
        let mut sum = double(values(rank, length));
        ranks.sum_f64(&mut sum)?;
        assert_eq!(
            sum,
            tree(of_all(length).into_iter().map(double).collect(), |l, r| l + r)
        );

        let mut counts = vec![u64::MAX / 3 + rank as u64; length];
        ranks.sum_counts(&mut counts)?;
        let all = (0..size).fold(0u64, |sum, rank| sum.wrapping_add(u64::MAX / 3 + rank as u64));
        assert_eq!(counts, vec![all; length]);

        // of unequal lengths, and one of none
        let mine: Vec<u8> = (0..rank * length).map(|place| (place + rank) as u8).collect();
        let expected = (0..size).map(|rank| (0..rank * length).map(|place| (place + rank) as u8).collect());
        assert_eq!(ranks.gather(&mine)?, expected.collect::<Vec<Vec<u8>>>());

        let mut bytes = if rank == 0 { vec![7; length] } else { vec![1, 2, 3] };
        ranks.broadcast(&mut bytes)?;
        assert_eq!(bytes, vec![7; length]);

        let mut holding = Holding::new(ranks)?;
        let numbers: Vec<u16> = (0..length).map(|place| place as u16).collect();
        for _ in 0..3 {
            holding.extend(&numbers)?;
        }
        assert_eq!(*holding.finish()?, numbers.repeat(3));

        let places: Vec<u32> = part(length, rank, size).map(|place| place as u32).collect();
        assert_eq!(ranks.gather_values(places)?, (0..length as u32).collect::<Vec<_>>());
    }
    let mut mean = [rank as f64, 1.0];
    ranks.mean(&mut mean, (rank + 1) as f64)?;
    let (sum, all) = (0..size).fold((0.0, 0.0), |(sum, all), rank| {
        (sum + (rank * (rank + 1)) as f64, all + (rank + 1) as f64)
    });
    assert_eq!(mean, [sum / all, 1.0]);
    // a loss that is no number on one rank is none on all
    let mut loss = [if rank + 1 == size { f32::NAN } else { 1.0 }];
    ranks.sum(&mut loss)?;
    assert!(loss[0].is_nan());
    assert_eq!(ranks.max(100 - rank as u64)?, 100);
    ranks.agree(&[("plan", "a"), ("data", "b")])?;
    ranks.barrier(Patience::Endless)?;
    assert!(ranks.local().0 < ranks.local().1 && ranks.machines() <= size);
    Ok(format!("{} {size} {bits:016x}", ranks.engine()))
}

/// A bucket and more: 30 million numbers.
fn large(ranks: &Ranks) -> Result<String, RanksError> {
    let mut values = vec![ranks.rank() as f32 + 0.5; 30_000_000];
    let begun = Instant::now();
    ranks.sum(&mut values)?;
    let sum = (0..ranks.size()).map(|rank| rank as f32 + 0.5).sum::<f32>();
    assert!(values.iter().all(|&value| value == sum));
    Ok(format!("120 MB summed in {:.2} s", begun.elapsed().as_secs_f64()))
}

/// Sums on what stands in for devices, whose memory is main memory: what sums, or why NCCL does not.
fn by_nccl(ranks: &Ranks, meanwhile: fn(&Ranks)) -> Result<String, RanksError> {
    let (rank, size) = (ranks.rank(), ranks.size());
    assert_eq!(ranks.tensor_sums(), None);
    let why = ranks.open_nccl(ranks.local().0)?;
    assert_eq!(why.is_some(), ranks.on_devices().is_none());
    let sums = ranks.tensor_sums().unwrap_or_default();
    if let Some(why) = why {
        return Ok(format!("{sums}: {why}"));
    }
    // what was found once stays
    assert_eq!(ranks.open_nccl(1_000)?, None);
    let devices = ranks.on_devices().expect("it was opened");
    for (turn, length) in [0, 1, 3, 1_000, 65_537].into_iter().enumerate() {
        let (mine, mut found) = (values(rank, length), vec![0.0f32; length]);
        let buffers = Buffers {
            from: mine.as_ptr() as usize,
            to: found.as_mut_ptr() as usize,
            count: length,
            stream: [Stream::Default, Stream::Own][turn % 2],
        };
        // SAFETY: both have the length, and nothing else uses them
        unsafe { devices.sum(&buffers)? };
        let all = (1..size).map(|rank| values(rank, length));
        let expected = all.fold(values(0, length), |sums, values| {
            sums.iter().zip(values).map(|(sum, value)| sum + value).collect()
        });
        assert_eq!(found, expected, "a sum of {length}");
        assert_eq!(mine, values(rank, length));
        meanwhile(ranks);
    }
    Ok(sums.to_owned())
}

/// What NVIDIA's library does without a device.
fn library() -> Result<String, NcclError> {
    let library = Library::open()?;
    let id = library.id()?;
    let joined = library.join(id, 0, 1).map(|_| "joined".to_owned());
    let joined = joined.unwrap_or_else(|error| error.to_string());
    Ok(format!(
        "{}, an id of {} bytes, {joined}",
        library.version(),
        id.0.len()
    ))
}

fn sum_for_ever(ranks: &Ranks) -> Result<String, RanksError> {
    ranks.barrier(Patience::Usual)?;
    if ranks.leads() {
        println!("summing");
    }
    loop {
        ranks.sum(&mut [1.0; 1_000])?;
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What happens to the last rank, while the others sum.
fn meanwhile(ranks: &Ranks, last: fn()) -> Result<String, RanksError> {
    ranks.barrier(Patience::Usual)?;
    if ranks.rank() + 1 == ranks.size() {
        last();
    }
    sum_for_ever(ranks)
}

/// Sends this process a signal.
fn signal(which: &str) {
    let sent = Command::new("kill")
        .args([which, &std::process::id().to_string()])
        .status();
    assert!(sent.is_ok_and(|status| status.success()), "no `kill`");
}

fn work(case: &str, argument: Option<usize>, ranks: &Ranks) -> Result<String, RanksError> {
    match case {
        "collectives" => collectives(ranks),
        "large" => large(ranks),
        "plans" => {
            let plan = if ranks.rank() == 2 { "fedc" } else { "abcd" };
            ranks.agree(&[("version", "1"), ("plan", plan)])?;
            Ok("agreed".to_owned())
        }
        "samples" => {
            ranks.can_share("samples of a batch (pretrain.batch)", argument.unwrap_or(0))?;
            Ok("shared".to_owned())
        }
        "nccl" | "nccl-lacking" | "nccl-off" => by_nccl(ranks, |_| ()),
        "nccl-hang" => by_nccl(ranks, |ranks| {
            if ranks.rank() + 1 == ranks.size() {
                signal("-STOP");
            }
        }),
        "twice" => Ranks::join(Duration::from_secs(5)).map(|_| "joined twice".to_owned()),
        // as a debugger does, or a disk that does not answer
        "hang" => meanwhile(ranks, || signal("-STOP")),
        // at work, but not on what the others wait for
        "linger" => meanwhile(ranks, || std::thread::sleep(Duration::from_secs(60))),
        // while the others wait without limit, as they do for what one rank does by itself
        "alone" => {
            if ranks.leads() {
                println!("alone");
                match argument {
                    Some(seconds) => std::thread::sleep(Duration::from_secs(seconds as u64)),
                    None => signal("-STOP"),
                }
            }
            ranks.barrier(Patience::Endless)?;
            Ok("together".to_owned())
        }
        // as the system does when memory runs out
        "die" => meanwhile(ranks, || signal("-KILL")),
        "panic" => meanwhile(ranks, || panic!("a fault of the program")),
        "loop" => sum_for_ever(ranks),
        _ => Ok(format!("no case `{case}`")),
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let case = arguments.next().unwrap_or_default();
    let argument = arguments.next().and_then(|argument| argument.parse().ok());
    let rank = launcher::Launcher::from_environment().and_then(|launcher| launcher.rank);
    // SAFETY: no other thread was started yet
    unsafe {
        nccl::keep_order_of_sums();
        match (case.as_str(), rank) {
            ("nccl-lacking", Some(2)) => std::env::set_var("BRIDLE_NCCL", "/nowhere/libnccl.so"),
            ("nccl-off", Some(1)) => std::env::set_var("BRIDLE_NCCL", "off"),
            _ => {}
        }
    }
    if case == "nccl-library" {
        return match library() {
            Ok(text) => {
                println!("{text}");
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("{}", error.told());
                ExitCode::from(4)
            }
        };
    }
    let fail = |error: &RanksError| {
        eprintln!("{}", error.told());
        error.exit()
    };
    // one that never joins the others
    if case == "absent" && rank == Some(1) {
        std::thread::sleep(Duration::from_secs(60));
        return ExitCode::SUCCESS;
    }
    let ranks = match Ranks::join(Duration::from_secs(2)) {
        Ok(ranks) => ranks,
        Err(error) => return ExitCode::from(fail(&error)),
    };
    let ranks = match (case.as_str(), argument, ranks) {
        ("collectives", Some(each), Ranks::Mpi(mpi)) => {
            let mpi = std::sync::Arc::into_inner(mpi).expect("nobody else has it");
            Ranks::Mpi(std::sync::Arc::new(mpi.regrouped(each).expect("ranks can be grouped")))
        }
        (_, _, ranks) => ranks,
    };
    let aborting = ranks.clone();
    std::panic::set_hook(Box::new(move |panic| aborting.abort(1, &panic.to_string())));
    match work(&case, argument, &ranks) {
        Ok(text) if ranks.leads() => println!("{text}"),
        Ok(_) => {}
        // all have found the same
        Err(error) if error.is_shared() => {
            let code = if ranks.leads() { fail(&error) } else { error.exit() };
            return match ranks.finish() {
                Ok(()) => ExitCode::from(code),
                Err(error) => ranks.abort(1, &error.to_string()),
            };
        }
        Err(error) => ranks.abort(i32::from(error.exit()), &error.told()),
    }
    match ranks.finish() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => ranks.abort(1, &error.to_string()),
    }
}
