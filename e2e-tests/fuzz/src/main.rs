//! The target that `FUZZ_TARGET` names, under libFuzzer. `./shop fuzz` builds and runs it.

#![no_main]

libfuzzer_sys::fuzz_target!(
    init: {
        fuzz::chosen();
    },
    |data: &[u8]| (fuzz::chosen().run)(data)
);
