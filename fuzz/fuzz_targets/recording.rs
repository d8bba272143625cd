#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pipewright_tests::fuzz::recording(data));
