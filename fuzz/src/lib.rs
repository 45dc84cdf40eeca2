//! What the fuzz targets share: a bound on the memory that one input may take, and inputs made of several files.
//!
//! Every target holds a reader of foreign bytes to the same laws: it never panics, never takes more memory than its
//! limits say, and what it accepts is the same after it was written and read again.

pub mod message;

use std::alloc::System;

use cap::Cap;

/// Counts what Rust code holds; what a C library holds, libFuzzer's `-malloc_limit_mb` bounds.
#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

/// Runs `work`, which may hold at most `bytes` more than is held now: more ends the process.
pub fn within<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    let limited = MEMORY.set_limit(MEMORY.allocated().saturating_add(bytes));
    assert!(limited.is_ok(), "a limit above what is held is always granted");
    let outcome = work();
    assert!(MEMORY.set_limit(usize::MAX).is_ok(), "no limit is always granted");
    outcome
}

/// The files that an input holds: each begins with a line `=== NAME` and ends before the next.
///
/// What stands before the first such line belongs to none.
#[must_use]
pub fn files(input: &[u8]) -> Vec<(&str, &[u8])> {
    const MARK: &[u8] = b"=== ";
    let starts: Vec<usize> = (0..input.len())
        .filter(|&at| input[at..].starts_with(MARK) && (at == 0 || input[at - 1] == b'\n'))
        .collect();
    let ends = starts.iter().copied().skip(1).chain([input.len()]);
    let mut files = Vec::new();
    for (start, end) in starts.iter().copied().zip(ends) {
        let file = &input[start + MARK.len()..end];
        let line = file.iter().position(|&byte| byte == b'\n').unwrap_or(file.len());
        if let Ok(name) = std::str::from_utf8(&file[..line]) {
            files.push((name, file.get(line + 1..).unwrap_or_default()));
        }
    }
    files
}
