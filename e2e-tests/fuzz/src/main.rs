//! The target that `FUZZ_TARGET` names, under libFuzzer. `./shop fuzz` builds and runs it.

#![no_main]

libfuzzer_sys::fuzz_target!(
    init: {
        // What a target sets up once takes longer than an input may, on a busy machine.
        (fuzz::chosen().run)(&[]);
    },
    |data: &[u8]| (fuzz::chosen().run)(data)
);
