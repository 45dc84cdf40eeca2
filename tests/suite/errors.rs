//! Mistakes of users on the command line: the message, the exit code, and an empty stdout.
//!
//! They come from a review with 113 wrong inputs. Other files have logins and regions (login.rs), names of
//! models (hub.rs), denied images (denied.rs), and damaged models and options (bad_input.rs).

use std::fs;
use std::process::Command;

use tagfleet_tests::command::{Ran, run, tagfleet};
use tagfleet_tests::fake_server::{FakeServer, Reply};
use tagfleet_tests::onnx::{Network, plain_picture};
use tagfleet_tests::project;
use tempfile::TempDir;

/// A user's folder: two photos, a text, and no configuration of AWS.
struct Home {
    folder: TempDir,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let photos = folder.path().join("photos");
        fs::create_dir(&photos).unwrap();
        for name in ["a.JPG", "b.JPG"] {
            fs::copy(project("demo/photos/autumn/sku-0000.jpg"), photos.join(name)).unwrap();
        }
        fs::write(folder.path().join("a.txt"), "hello\n").unwrap();
        Self { folder }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// A command in that folder. MODEL means the demo's model.
    fn command(&self, line: &str) -> Command {
        let model = project("demo/model");
        let words = line.split(' ').map(|word| word.replace("MODEL", model.to_str().unwrap()));
        let mut command = tagfleet(words);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
            command.env_remove(name);
        }
        command.env("HOME", self.folder.path()).env("AWS_EC2_METADATA_DISABLED", "true");
        command.current_dir(self.folder.path());
        command
    }

    /// The error of a wrong command line, without the parts that differ from machine to machine.
    fn error(&self, line: &str) -> String {
        self.refused(&mut self.command(line))
    }

    fn refused(&self, command: &mut Command) -> String {
        let ran = run(command);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{command:?}: {ran:?}");
        let folder = self.folder.path().canonicalize().unwrap();
        ran.stderr.replace(folder.to_str().unwrap(), "HOME").trim_end().to_owned()
    }
}

const RUN: &str = "run photos --model MODEL --out tags";
const SUBMIT: &str = "submit s3://shop/photos/ --model MODEL";

/// `error: ...` with one of clap's tips.
fn with_tip(error: &str, tip: &str) -> String {
    format!("error: {error}\n\n  tip: {tip}\n\nFor more information, try '--help'.")
}

#[test]
fn similar_commands_are_suggested_and_hidden_ones_are_not() {
    let home = Home::new();
    let meant =
        [("tag", "run"), ("predict", "run"), ("cost", "plan"), ("stop", "cancel"), ("inspec", "inspect")];
    for (word, meant) in meant {
        let error = home.error(&format!("{word} photos"));
        assert!(error.contains(&format!("tip: a similar subcommand exists: '{meant}'")), "{word}: {error}");
    }
    for word in ["tagger", "tagger-proces", "tagger-process-", "xyz"] {
        let error = home.error(&format!("{word} photos"));
        assert!(!error.contains("tip:") && !error.contains("'tagger-process'"), "{word}: {error}");
    }
}

#[test]
fn an_internal_command_explains_itself_to_people() {
    let home = Home::new();
    assert_eq!(
        home.error("tagger-process"),
        "error: tagger-process is what tagfleet starts for itself: use `tagfleet run`"
    );
}

/// Every command accepts `cpu` and `gpu`; `cuda` means `gpu`.
#[test]
fn a_device_has_the_same_words_in_every_command() {
    let home = Home::new();
    for word in ["gpu", "cuda", "cpu"] {
        for line in [RUN, "inspect MODEL", SUBMIT] {
            let ran = run(&mut home.command(&format!("{line} --device {word}")));
            assert!(!ran.stderr.contains("invalid value"), "{line} {word}: {ran:?}");
        }
    }
    for line in [RUN, "inspect MODEL", SUBMIT] {
        let error = home.error(&format!("{line} --device rehearse"));
        assert!(
            error.contains("cpu, gpu]") && !error.contains("rehearsal") && !error.contains("cuda"),
            "{error}"
        );
    }
}

#[test]
fn an_invalid_number_is_refused_with_an_example() {
    let home = Home::new();
    let error = |line: &str, more: &str| home.error(&format!("{line} {more}"));
    let whole = "give a whole number of at least 0, such as 5";
    assert_eq!(error(RUN, "--top-k abc"), with_tip("invalid value 'abc' for '--top-k <N>'", whole));
    assert_eq!(
        error(RUN, "--image-timeout 1m"),
        with_tip("invalid value '1m' for '--image-timeout <SECONDS>'", whole)
    );
    assert_eq!(
        error(RUN, "--top-k 99999999999999999999"),
        with_tip("invalid value '99999999999999999999' for '--top-k <N>'", "give a smaller whole number")
    );
    assert_eq!(
        error(RUN, "--threshold 50%"),
        with_tip("invalid value '50%' for '--threshold <SCORE>'", "give a number, such as 0.5")
    );
    for line in [SUBMIT, "resume r-1"] {
        assert_eq!(
            error(line, "--max-usd $40"),
            with_tip("invalid value '$40' for '--max-usd <USD>'", "give dollars as a number, such as 40")
        );
    }
}

#[test]
fn prices_without_a_place_name_both_kinds() {
    let error = Home::new().error("prices refresh");
    assert!(error.contains("<--stack <NAME>|--out <FILE>>"), "{error}");
}

#[test]
fn inputs_that_are_not_places_are_refused() {
    let home = Home::new();
    let error = |input: &str| home.error(&format!("run {input} --model MODEL --out tags"));
    let unknown = |scheme: &str| {
        format!("error: {scheme}:// is not supported: give a folder, a file, or s3://bucket/prefix")
    };
    assert_eq!(error("gs://shop/p"), unknown("gs"));
    assert_eq!(error("https://shop.example/p"), unknown("https"));
    assert_eq!(error("S3://shop/p"), "error: S3://shop/p: did you mean s3://shop/p?");
    assert_eq!(error("s3:/shop/p"), "error: s3:/shop/p: did you mean s3://shop/p?");
    assert_eq!(
        home.error(&format!("{RUN} --include *.jpg")),
        "error: HOME/photos: 2 files, and none passes --include and --exclude (globs are case-sensitive): nothing to tag"
    );
}

#[test]
fn several_files_are_inputs_as_a_shell_expands_them() {
    let home = Home::new();
    let ran = run(&mut home.command("run photos/a.JPG photos/b.JPG --model MODEL --out tags --engine tract"));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("2 tagged, 0 failed"), "{ran:?}");
}

#[test]
fn a_dry_run_prints_its_counts_as_sentences() {
    let home = Home::new();
    let ran = run(&mut home.command(&format!("{RUN} --dry-run")));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "2 images, 20 kB\n"), "{ran:?}");
}

#[test]
fn a_file_that_is_neither_an_image_nor_a_model_is_refused() {
    let home = Home::new();
    assert_eq!(
        home.error("inspect MODEL a.txt"),
        "error: a.txt cannot be tagged: not an image: looks like text"
    );
    assert_eq!(
        home.error("run photos --model photos/a.JPG --out tags"),
        "error: photos/a.JPG looks like a JPEG, not like an ONNX model"
    );
}

#[test]
fn a_model_without_a_description_has_a_warning_in_capitals() {
    let home = Home::new();
    let network =
        Network { nhwc: false, labels: vec![("red", [1.0, 0.0, 0.0], 0.0), ("blue", [0.0, 0.0, 1.0], 0.0)] };
    network.write(&home.folder.path().join("bare"));
    plain_picture(&home.folder.path().join("plain/red.bmp"), [255, 0, 0], (8, 8));
    let ran = run(&mut home.command("run plain --model bare --out tags --quiet"));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("WARNING: nothing describes this model's preprocessing"), "{ran:?}");
}

#[test]
fn a_report_of_an_absent_run_is_refused() {
    let home = Home::new();
    assert_eq!(home.error("report ./tagz"), "error: ./tagz is neither a folder nor a run ID");
    let error = home.error("report nowhere");
    assert!(error.starts_with("error: there is no folder nowhere, and no stack could be asked"), "{error}");
}

#[test]
fn a_report_without_a_browser_is_printed() {
    let home = Home::new();
    assert_eq!(run(&mut home.command(&format!("{RUN} --engine tract --quiet"))).code, Some(0));
    let ran = run(home.command("report tags --open").env("PATH", ""));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.starts_with("warning: no browser could be opened ("), "{ran:?}");
    assert!(ran.stderr.contains("open file:///") && ran.stdout.contains("report.html"), "{ran:?}");
}

/// No request is sent to AWS: there is neither a region nor a login.
#[test]
fn requests_are_checked_before_aws_is_called() {
    let home = Home::new();
    home.write("typo.json", "{\"inpt\": [\"s3://shop/p/\"]}");
    home.write("broken.json", "{\n");
    let rows = [
        (
            "submit --request typo.json",
            "--request typo.json: the request is wrong: not a request file of this tagfleet: unknown field `inpt`",
        ),
        (
            "submit --request broken.json",
            "--request broken.json: the request is wrong: not a request file of this tagfleet: EOF",
        ),
        ("submit --request none.json", "--request none.json: No such file or directory"),
        (
            "submit ./photos --model MODEL",
            "the request is wrong: input: \"./photos\" is not a place in a bucket: give s3://bucket/prefix",
        ),
        (
            "submit s3://shop/p/ --model MODEL --notify me",
            "the request is wrong: notify: \"me\" is not a mail address",
        ),
        ("submit s3://shop/p/ --model MODEL --deadline tomorrow", "the request is wrong: deadline"),
        (
            "submit s3://shop/p/ --model MODEL --max-usd 0",
            "the request is wrong: max_usd: give dollars, more than 0",
        ),
    ];
    for (line, expected) in rows {
        let error = home.error(line);
        assert!(error.starts_with(&format!("error: {expected}")), "{line}: {error}");
    }
}

#[test]
fn a_local_run_is_not_looked_for_in_the_fleet() {
    let home = Home::new();
    fs::create_dir_all(home.folder.path().join("tags/r-1")).unwrap();
    let remedy = "a run on this machine resumes with the same `tagfleet run` command";
    for command in ["resume", "status", "cancel"] {
        assert_eq!(
            home.error(&format!("{command} tags/r-1")),
            format!(
                "error: tags/r-1 is a path, not the ID of a fleet run: {remedy}, and `tagfleet report` shows it"
            )
        );
    }
    let error = home.error("resume 20261123-170000-0a1b2c");
    assert!(error.contains(&format!("; {remedy}")), "{error}");
    let error = home.error("status Run_1");
    assert!(error.starts_with("error: \"Run_1\" is not a run ID"), "{error}");
}

#[test]
fn a_place_instead_of_a_region_names_the_region() {
    let home = Home::new();
    let rows = [
        ("frankfurt", "did you mean eu-central-1?"),
        ("moon", "regions look like eu-central-1 or us-east-1"),
    ];
    for (region, expected) in rows {
        let error = home.error(&format!("run s3://shop/p/ --model MODEL --out tags --region {region}"));
        assert!(
            error.starts_with(&format!("error: \"{region}\" is not an AWS region: {expected}")),
            "{error}"
        );
    }
}

#[test]
fn doctor_without_a_region_prints_how_to_set_one() {
    let home = Home::new();
    let ran = run(home.command("doctor").env("AWS_ACCESS_KEY_ID", "a").env("AWS_SECRET_ACCESS_KEY", "b"));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), ""), "{ran:?}");
    insta::assert_snapshot!(ran.stdout, @r"
    FAIL  region       no AWS region is set
                       -> pass --region, set AWS_REGION, or run `aws configure`
    1 problem to fix before a run can start, 0 warnings
    ");
}

#[test]
fn an_absent_bucket_is_named() {
    let home = Home::new();
    let s3 = FakeServer::start(|_| Some(Reply::s3_error(404, "NoSuchBucket")));
    let mut command = home.command("run s3://shpo --model MODEL --out tags --region eu-central-1");
    command
        .args(["--endpoint-url", &s3.url()])
        .env("AWS_ACCESS_KEY_ID", "a")
        .env("AWS_SECRET_ACCESS_KEY", "b");
    assert_eq!(home.refused(&mut command), "error: s3://shpo: NoSuchBucket: this bucket does not exist");
}

fn escapes(ran: &Ran) -> bool {
    ran.stderr.contains('\u{1b}') || ran.stdout.contains('\u{1b}')
}

#[test]
fn colour_is_for_terminals_and_no_color_is_obeyed() {
    let home = Home::new();
    // Messages of tagfleet, messages of clap, and stdout.
    for line in ["report ./tagz", "runn", "doctor --local"] {
        let ran = |variables: &[(&str, &str)]| {
            let mut command = home.command(line);
            for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
                command.env_remove(name);
            }
            run(command.envs(variables.iter().copied()))
        };
        assert!(!escapes(&ran(&[])), "{line}: a pipe is not a terminal");
        assert!(escapes(&ran(&[("CLICOLOR_FORCE", "1")])), "{line}");
        assert!(!escapes(&ran(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")])), "{line}");
    }
}

#[test]
fn an_unfinished_run_with_other_options_is_mentioned() {
    let home = Home::new();
    let first = run(&mut home.command(&format!("{RUN} --engine tract --quiet")));
    assert_eq!(first.code, Some(0), "{first:?}");
    let tags = home.folder.path().join("tags");
    let done = tagfleet_tests::rows::runs(&tags).pop().unwrap();
    let name = done.file_name().unwrap().to_str().unwrap().to_owned();
    let again = |more: &str| {
        let ran = run(&mut home.command(&format!("{RUN} --engine tract {more}")));
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.stderr
    };
    assert!(!again("--top-k 3").contains("unfinished"), "the first run is complete");
    fs::remove_file(done.join("_SUCCESS")).unwrap();
    let expected = format!(
        "note: run {name} in this output is unfinished and is left alone, because it has other tag options: \
         to resume it, run its own command"
    );
    let said = again("--top-k 2");
    assert!(said.contains(&expected), "{said}");
    assert!(!again("--top-k 2 --new").contains("unfinished"), "--new asks for another run");
}
