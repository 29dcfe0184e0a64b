//! Calls the law that `$LAW` names with what the fuzzer makes up.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
mod fuzzing {
    use std::sync::OnceLock;

    type Law = fn(&[u8]);

    fn law() -> Law {
        static LAW: OnceLock<Law> = OnceLock::new();
        *LAW.get_or_init(|| {
            let laws = [
                bridle_containers::untrusted::LAWS,
                bridle_ctc::untrusted::LAWS,
                bridle_results::untrusted::LAWS,
                bridle_tasks::untrusted::LAWS,
            ]
            .concat();
            let known: Vec<&str> = laws.iter().map(|(name, _)| *name).collect();
            let name = std::env::var("LAW").unwrap_or_default();
            let found = laws.iter().find(|(known, _)| *known == name);
            found
                .unwrap_or_else(|| panic!("$LAW is none of {}", known.join(", ")))
                .1
        })
    }

    libfuzzer_sys::fuzz_target!(
        init: {
            // the fuzzer's hook ends the program at every panic; one that becomes an error is none
            let fuzzers = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                if !bridle_tasks::panic_is_caught() {
                    fuzzers(panic);
                }
            }));
        },
        |bytes: &[u8]| law()(bytes)
    );
}

#[cfg(not(fuzzing))]
fn main() {
    panic!("build it with cargo-fuzz");
}
