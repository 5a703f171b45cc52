//! How a target is run: by libFuzzer, or with the files that are named.

use std::{fs, io, path::Path};

/// The `main` of a target.
#[macro_export]
macro_rules! target {
    ($run:path) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|data: &[u8]| $run(data));

        #[cfg(not(fuzzing))]
        fn main() -> std::io::Result<()> {
            for path in std::env::args_os().skip(1) {
                let inputs = $crate::replay(path.as_ref(), $run)?;
                println!("{}: {inputs} inputs", path.display());
            }
            Ok(())
        }
    };
}

/// Runs a target with a file, or with every file of a folder. How many there were.
///
/// # Errors
/// When there is no such file, or it cannot be read.
///
/// # Panics
/// When the target does; the file is named on standard error.
pub fn replay(path: &Path, run: fn(&[u8])) -> io::Result<usize> {
    let mut files = vec![path.to_owned()];
    if path.is_dir() {
        files = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
        files.sort_unstable();
    }
    for file in &files {
        let data = fs::read(file)?;
        if let Err(panic) = std::panic::catch_unwind(|| run(&data)) {
            eprintln!("the input was {}", file.display());
            std::panic::resume_unwind(panic);
        }
    }
    Ok(files.len())
}
