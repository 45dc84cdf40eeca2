//! `tagfleet fit` on networks whose correct preprocessing is known: it finds and writes that, and reports
//! what the pictures cannot decide.

use std::fs;
use std::path::Path;

use tagfleet_tests::command::{Ran, run, tagfleet};
use tagfleet_tests::onnx::{Network, plain_picture};
use tagfleet_tests::rows::rows;
use tagfleet_tests::{project, shared};

/// A network for red, green, blue and dark pictures, with samples of 0 to 255 in the order blue, green, red.
fn bgr() -> Network {
    let labels = vec![
        ("red", [0.0, 0.0, 0.05], 0.0),
        ("green", [0.0, 0.05, 0.0], 0.0),
        ("blue", [0.05, 0.0, 0.0], 0.0),
        ("dark", [0.0; 3], 4.0),
    ];
    Network { nhwc: false, labels }
}

/// A network for the pictures of [`bgr`], with samples of -1 to 1, in which dark pictures are below zero.
fn signed() -> Network {
    let labels = vec![
        ("red", [8.0, 0.0, 0.0], 0.0),
        ("green", [0.0, 8.0, 0.0], 0.0),
        ("blue", [0.0, 0.0, 8.0], 0.0),
        ("dark", [0.0; 3], 0.0),
    ];
    Network { nhwc: true, labels }
}

/// A network for white and gray pictures, with samples of 0 to 1. It needs pictures that are padded with
/// black.
fn padded() -> Network {
    let third = |weight: f32| [weight / 3.0; 3];
    let labels = vec![("wide", third(0.0), 0.0), ("gray", third(20.0), -8.0), ("square", third(40.0), -23.0)];
    Network { nhwc: false, labels }
}

/// Twelve pictures, three for each label. The dark ones are just below the middle of the range.
fn colours(folder: &Path, size: (u32, u32)) {
    for shade in 0..3_u8 {
        let (bright, dim) = (230 + 10 * shade, 20 + 30 * shade);
        let gray = 112 + 6 * shade;
        for (label, color) in [
            ("red", [bright, dim, dim]),
            ("green", [dim, bright, dim]),
            ("blue", [dim, dim, bright]),
            ("dark", [gray; 3]),
        ] {
            plain_picture(&folder.join(format!("{label}/{shade}.bmp")), color, size);
        }
    }
}

/// The pictures of [`colours`], with dark ones that are nearly black.
fn colours_on_black(folder: &Path) {
    colours(folder, (12, 8));
    for shade in 0..3_u8 {
        plain_picture(&folder.join(format!("dark/{shade}.bmp")), [20 + shade; 3], (12, 8));
    }
}

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(network: &Network) -> Self {
        let folder = tempfile::tempdir().unwrap();
        network.write(&folder.path().join("model"));
        Self { folder }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn fit(&self, arguments: &[&str]) -> Ran {
        let mut command = tagfleet(["fit", "--engine", "tract"]);
        command.arg(self.path("model")).arg("--images").arg(self.path("images"));
        run(command.args(arguments).arg("--page").arg(self.path("fit.html")))
    }

    fn description(&self) -> Option<String> {
        fs::read_to_string(self.path("model/tagfleet.toml")).ok()
    }

    /// The number of pictures whose best tag is the label that their folder is named after.
    fn right(&self) -> usize {
        let mut command = tagfleet(["run", "--engine", "tract", "--quiet"]);
        command.arg(self.path("images")).arg("--model").arg(self.path("model"));
        let ran = run(command.arg("--out").arg(self.path("tags")));
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "no warning is left");
        let is_right = |key: &str, best: &str| key.split('/').next() == Some(best);
        rows(&self.path("tags")).iter().filter(|row| is_right(&row.key, &row.tags[0].0)).count()
    }
}

/// The text without the folder of this test.
fn without(text: &str, place: &Place) -> String {
    text.replace(&place.folder.path().display().to_string(), "FOLDER")
}

fn first(ran: &Ran) -> &str {
    let line = ran.stdout.lines().find(|line| line.starts_with("   1  "));
    assert!(line.is_some(), "{ran:?}");
    line.unwrap_or_default()
}

#[test]
fn channel_order_and_values_are_found_and_written() {
    let place = Place::new(&bgr());
    colours_on_black(&place.path("images"));
    let ran = place.fit(&[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    insta::assert_snapshot!(without(&ran.stdout, &place));
    assert!(place.description().unwrap().contains("color = \"bgr\""));
    assert_eq!(place.right(), 12, "as many as printed");
}

#[test]
fn a_signed_range_of_an_nhwc_graph_is_found() {
    let place = Place::new(&signed());
    colours(&place.path("images"), (8, 8));
    let ran = place.fit(&[]);
    assert!(first(&ran).contains("12/12") && first(&ran).contains("RGB, -1..1, squash"), "{}", ran.stdout);
    assert_eq!(place.right(), 12);
    let inspected = run(tagfleet(["inspect"]).arg(place.path("model")));
    assert!(inspected.stdout.contains("RGB, values -1..1"), "{}", inspected.stdout);
}

#[test]
fn padding_is_found() {
    let place = Place::new(&padded());
    for number in 0..4_u8 {
        let picture = |name: &str| place.path(&format!("images/{name}/{number}.bmp"));
        plain_picture(&picture("wide"), [255; 3], (64, 16));
        plain_picture(&picture("square"), [255; 3], (32, 32));
        plain_picture(&picture("gray"), [138 + number; 3], (32, 32));
    }
    let ran = place.fit(&[]);
    assert!(first(&ran).contains("RGB, 0..1, pad to a square with black"), "{}", ran.stdout);
    assert!(first(&ran).contains("12/12"), "{}", ran.stdout);
    assert_eq!(place.right(), 12);
}

#[test]
fn a_table_names_the_labels() {
    let place = Place::new(&bgr());
    colours_on_black(&place.path("sorted"));
    let mut table = "file,label\n".to_owned();
    for (index, label) in ["RED", "1", "class_2", "0_Dark"].into_iter().enumerate() {
        let folder = ["red", "green", "blue", "dark"][index];
        for shade in 0..3 {
            let name = format!("{folder}{shade}.bmp");
            fs::create_dir_all(place.path("images")).unwrap();
            fs::copy(
                place.path(&format!("sorted/{folder}/{shade}.bmp")),
                place.path(&format!("images/{name}")),
            )
            .unwrap();
            table.push_str(&format!("{name},{label}\n"));
        }
    }
    fs::write(place.path("truth.csv"), table).unwrap();
    let truth = place.path("truth.csv").display().to_string();
    let ran = place.fit(&["--truth", &truth]);
    assert!(first(&ran).contains("12/12") && first(&ran).contains("BGR, 0..255"), "{}", ran.stdout);
    fs::write(place.path("truth.csv"), "file,label\nred0.bmp,zebra\n").unwrap();
    let refused = place.fit(&["--truth", &truth, "--dry-run"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("the model has no label \"zebra\""), "{}", refused.stderr);
}

#[test]
fn pictures_that_are_all_alike_decide_nothing() {
    let place = Place::new(&bgr());
    for number in 0..4 {
        plain_picture(&place.path(&format!("images/{number}.bmp")), [90; 3], (8, 8));
    }
    let ran = place.fit(&[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("These pictures cannot decide channel order and values"), "{}", ran.stdout);
    assert!(ran.stdout.contains("nothing is written, because the pictures cannot decide"), "{}", ran.stdout);
    assert_eq!(place.description(), None);
    assert!(place.path("fit.html").exists());
    let forced = place.fit(&["--force"]);
    assert!(forced.stdout.contains("wrote"), "{}", forced.stdout);
    assert!(place.description().is_some());
}

#[test]
fn a_dry_run_writes_nothing_and_an_existing_file_stays() {
    let place = Place::new(&bgr());
    colours_on_black(&place.path("images"));
    let dry = place.fit(&["--dry-run"]);
    assert!(dry.code == Some(0) && dry.stdout.contains("--dry-run"), "{dry:?}");
    assert!(!place.path("fit.html").exists() && place.description().is_none());

    let own = "color = \"rgb\"\nlabels = \"labels.txt\"\n";
    fs::write(place.path("model/tagfleet.toml"), own).unwrap();
    let refused = place.fit(&[]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("tagfleet.toml exists: --force replaces it"), "{}", refused.stderr);
    assert_eq!(place.description().as_deref(), Some(own));
    let elsewhere = place.path("found.toml").display().to_string();
    let ran = place.fit(&["--out", &elsewhere]);
    assert!(ran.code == Some(0) && place.path("found.toml").exists(), "{ran:?}");
    assert_eq!(place.description().as_deref(), Some(own));
    assert_eq!(place.fit(&["--force"]).code, Some(0));
    let replaced = place.description().unwrap();
    assert!(
        replaced.contains("labels = \"labels.txt\"") && replaced.contains("color = \"bgr\""),
        "{replaced}"
    );
    assert_eq!(place.right(), 12);
}

#[test]
fn a_page_shows_the_pictures_and_needs_nothing_else() {
    let place = Place::new(&bgr());
    colours_on_black(&place.path("images"));
    fs::rename(place.path("images/red/0.bmp"), place.path("images/red/<b>.bmp")).unwrap();
    assert_eq!(place.fit(&[]).code, Some(0));
    let page = fs::read_to_string(place.path("fit.html")).unwrap();
    assert_eq!(page.matches("<img src=\"data:image/jpeg;base64,").count(), 12);
    assert!(page.contains("&lt;b&gt;.bmp") && !page.contains("<b>.bmp"));
    assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("<script"));
    assert!(page.contains("BGR, 0..255, squash (bilinear)"));
}

#[test]
fn a_fit_without_usable_inputs_is_refused() {
    let one = Network { nhwc: false, labels: vec![("score", [1.0; 3], 0.0)] };
    let place = Place::new(&one);
    colours(&place.path("images"), (8, 8));
    let ran = place.fit(&[]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("one score of one label"), "{}", ran.stderr);

    let place = Place::new(&bgr());
    let ran = place.fit(&[]);
    assert!(ran.code == Some(2) && ran.stderr.contains("--images"), "{ran:?}");
    fs::create_dir_all(place.path("images")).unwrap();
    let ran = place.fit(&[]);
    assert!(ran.code == Some(2) && ran.stderr.contains("at least 2 pictures are needed"), "{ran:?}");
    for name in ["1.jpg", "2.jpg"] {
        fs::write(place.path(&format!("images/{name}")), "not a picture").unwrap();
    }
    let ran = place.fit(&[]);
    assert!(ran.code == Some(2) && ran.stderr.contains("0 of the pictures can be tagged"), "{ran:?}");
}

#[test]
fn broken_pictures_are_named_and_left_out() {
    let place = Place::new(&bgr());
    colours_on_black(&place.path("images"));
    fs::write(place.path("images/red/broken.jpg"), "not a picture").unwrap();
    let ran = place.fit(&["--dry-run"]);
    assert!(ran.stdout.contains("red/broken.jpg cannot be tagged"), "{}", ran.stdout);
    assert!(ran.stdout.contains("1 of 13 pictures cannot be tagged"), "{}", ran.stdout);
    assert!(ran.stdout.contains("pictures 12 pictures with 4 labels"), "{}", ran.stdout);
    assert!(first(&ran).contains("12/12") && first(&ran).contains("BGR, 0..255, squash"), "{}", ran.stdout);
}

#[test]
fn a_network_for_gray_pictures_in_three_channels_is_found() {
    let labels = vec![("light", [10.0, 0.0, 10.0], 0.0), ("dark", [0.0; 3], 4.7)];
    let place = Place::new(&Network { nhwc: false, labels });
    for number in 0..4_u8 {
        plain_picture(&place.path(&format!("images/light/{number}.bmp")), [20, 100 + number, 20], (8, 8));
        plain_picture(&place.path(&format!("images/dark/{number}.bmp")), [100 - number, 20, 100], (8, 8));
    }
    let ran = place.fit(&[]);
    assert!(first(&ran).contains("8/8") && first(&ran).contains("gray, 0..1, squash"), "{}", ran.stdout);
    assert_eq!(place.right(), 8);
}

/// The demo's model without its description, on its own pictures.
#[test]
fn the_demo_is_found_with_and_without_labels() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["model.onnx", "config.json"] {
        fs::copy(project("demo/model").join(name), folder.path().join(name)).unwrap();
    }
    for (truth, sample) in [(None, "40"), (Some("demo/truth.tsv"), "10")] {
        let mut command = tagfleet(["fit", "--images", "demo/photos", "--sample", sample, "--dry-run"]);
        command.args(truth.into_iter().flat_map(|truth| ["--truth", truth]));
        let ran = run(command.arg(folder.path()));
        assert!(first(&ran).contains("RGB, -1..1, squash (bilinear)"), "{}", ran.stdout);
    }
}

#[test]
fn a_network_for_photos_is_found_with_ten_labels() {
    let (Some(model), Some(photos)) = (shared("models/mobilenetv2_int8"), shared("photos")) else { return };
    let Some(truth) = shared("photos_truth.tsv") else { return };
    let folder = tempfile::tempdir().unwrap();
    for name in ["model.onnx", "config.json"] {
        fs::copy(model.join(name), folder.path().join(name)).unwrap();
    }
    let mut command = tagfleet(["fit", "--sample", "10", "--dry-run", "--images"]);
    let ran = run(command.arg(&photos).arg(folder.path()).arg("--truth").arg(&truth));
    assert!(first(&ran).contains("RGB, ImageNet's mean and std, shorter side 256/224"), "{}", ran.stdout);
}
