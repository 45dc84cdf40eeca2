//! The GPU that this worker's machine has, as NVIDIA's driver names it in the files that it shows of each.
//!
//! For the usage record and the log: the engine finds out by itself what it does with a GPU. This has never
//! run on a machine with such files; tests make them as the driver's documentation describes them.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use tagfleet_cost::usage::Gpu;

/// The driver's folder with a folder for each GPU, named after its place on the bus.
pub(crate) const DRIVER: &str = "/proc/driver/nvidia/gpus";
/// The file in it that describes it, line by line.
const INFORMATION: &str = "information";
/// The line that has its name.
const MODEL: &str = "Model:";
/// A file is read so far.
const MAX_BYTES: u64 = 4096;
/// A name is kept so far.
const MAX_CHARACTERS: usize = 100;
/// No machine has more.
const MAX_GPUS: usize = 64;

/// The GPU that a worker uses: one, as its job asks for, whatever else of its machine it can see. The GPUs of
/// a machine on AWS are alike; the first by its place on the bus gives the name. `None` if `driver` has no
/// GPU that has one.
pub(crate) fn find(driver: &Path) -> Option<Gpu> {
    let folders = fs::read_dir(driver).ok()?.take(MAX_GPUS);
    let mut folders: Vec<_> = folders.filter_map(|folder| Some(folder.ok()?.path())).collect();
    folders.sort();
    let name = folders.iter().find_map(|folder| model(&folder.join(INFORMATION)))?;
    Some(Gpu { name, count: 1 })
}

/// The text behind `Model:`, without characters that no terminal should get; `None` if it is empty, or the
/// file cannot be read.
fn model(information: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(information).ok()?.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let named = text.lines().find_map(|line| line.strip_prefix(MODEL))?;
    let shown: String = named.trim().chars().filter(|c| !c.is_control()).take(MAX_CHARACTERS).collect();
    (!shown.is_empty()).then_some(shown)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const L4: &str = "Model: \t\t NVIDIA L4\nIRQ:   \t\t 34\nGPU UUID: \t GPU-0a1b\nVideo BIOS: \t 95.04\nBus Type: \t PCIe\n\
                      Bus Location: \t 0000:31:00.0\nDevice Minor: \t 0\n";

    fn driver(gpus: &[(&str, &[u8])]) -> TempDir {
        let driver = tempfile::tempdir().unwrap();
        for (place, information) in gpus {
            let folder = driver.path().join(place);
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join(INFORMATION), information).unwrap();
        }
        driver
    }

    fn name(information: &[u8]) -> Option<String> {
        find(driver(&[("0000:31:00.0", information)]).path()).map(|gpu| gpu.name)
    }

    #[test]
    fn the_gpu_is_named_as_the_driver_does() {
        let one = driver(&[("0000:31:00.0", L4.as_bytes())]);
        assert_eq!(find(one.path()), Some(Gpu { name: "NVIDIA L4".to_owned(), count: 1 }));
    }

    #[test]
    fn a_worker_that_sees_all_gpus_of_its_machine_uses_one() {
        let places = ["0000:38:00.0", "0000:31:00.0", "0000:3a:00.0"];
        let four = driver(&[
            (places[0], b"Model: second"),
            (places[1], L4.as_bytes()),
            (places[2], b"Model: third"),
        ]);
        assert_eq!(find(four.path()), Some(Gpu { name: "NVIDIA L4".to_owned(), count: 1 }));
    }

    #[test]
    fn where_no_gpu_is_none_is_found() {
        let nothing = driver(&[]);
        assert_eq!(find(nothing.path()), None);
        assert_eq!(find(&nothing.path().join("absent")), None);
        for without in [b"".as_slice(), b"IRQ: 34\n", b"Model:", b"Model: \t \n", b"Model: \x1b\x07\0\n"] {
            assert_eq!(name(without), None, "{without:?}");
        }
        // A file in the place of a folder, a folder in the place of a file.
        fs::write(nothing.path().join("0000:31:00.0"), L4).unwrap();
        fs::create_dir_all(nothing.path().join("0000:32:00.0").join(INFORMATION)).unwrap();
        assert_eq!(find(nothing.path()), None);
    }

    #[test]
    fn odd_contents_give_a_short_plain_name() {
        assert_eq!(name(b"Model: NVIDIA\x1b[31m L4\x07\r\n").unwrap(), "NVIDIA[31m L4");
        assert_eq!(name(b"Model: L\xff4\n").unwrap(), "L\u{fffd}4");
        assert_eq!(name(format!("Model: {}", "ü".repeat(3000)).as_bytes()).unwrap(), "ü".repeat(100));
        let late = format!("{}\nModel: NVIDIA L4\n", "x".repeat(4096));
        assert_eq!(name(late.as_bytes()), None, "a file is read so far only");
    }
}
