//! Bodies of records and pieces of snapshots that anybody may have made, into a worker, which then serves. The bounded run
//! of the same is `tests/hostile.rs`; a crash found here becomes a test there.
//!
//! `cargo +nightly fuzz run restore`

#![no_main]

#[path = "../../tests/hostile/worker.rs"]
mod worker;

use libfuzzer_sys::fuzz_target;

thread_local! {
    static PLAN: std::sync::Arc<anabranch_model::plan::Plan> = worker::plan();
}

fuzz_target!(|bytes: &[u8]| {
    if let [kind, bytes @ ..] = bytes {
        PLAN.with(|plan| {
            worker::take_and_serve(plan, *kind & 1 != 0, bytes);
            worker::copy_and_begin_anew(plan, *kind & 1 != 0, bytes);
        });
    }
});
