//! Files that are wrong, and the sentence each gets.

use super::*;

const PROCESSOR: &str = "preprocessor_config.json";

#[test]
fn labels_of_the_wrong_length() {
    insta::assert_snapshot!(refused(&toy(), &[("labels.txt", "a\nb\n")]), @"model.onnx: labels.txt has 2 label(s), but the model gives 4 scores per image: give it one label per score, in their order");
    insta::assert_snapshot!(refused(&toy(), &[("config.json", r#"{"id2label": {"0": "a"}}"#)]), @"model.onnx: id2label of config.json has 1 label(s), but the model gives 4 scores per image: give it one label per score, in their order");
    insta::assert_snapshot!(refused(&toy(), &[("config.json", r#"{"id2label": {"0": "a", "7": "b"}}"#)]), @"model.onnx: id2label of config.json has 2 entries but none for 1: number them 0 to 1");
    insta::assert_snapshot!(refused(&toy(), &[("tagfleet.toml", "labels = \"none.txt\"")]), @r#"model.onnx: tagfleet.toml takes labels from "none.txt", but FOLDER has no such file"#);
    insta::assert_snapshot!(refused(&toy(), &[("tagfleet.toml", "labels = \"/etc/passwd\"")]), @r#"model.onnx: the labels file "/etc/passwd" is outside the model's folder: copy it there"#);
}

#[test]
fn configuration_that_can_not_be_understood() {
    insta::assert_snapshot!(refused(&toy(), &[("config.json", "{")]), @"config.json can't be understood: EOF while parsing an object at line 1 column 1");
    insta::assert_snapshot!(refused(&toy(), &[("config.json", r#"{"problem_type": "ranking"}"#)]), @r#"config.json has problem_type "ranking", which is unknown: give activation in tagfleet.toml"#);
    insta::assert_snapshot!(refused(&toy(), &[(PROCESSOR, r#"{"image_mean": [NaN]}"#)]), @"preprocessor_config.json is not JSON: Python's NaN or Infinity is in it, at line 1 column 17: put a number or null there");
    for number in ["Infinity", "-Infinity", "NaN"] {
        let error = refused(
            &toy(),
            &[("config.json", &format!("{{\"id2label\": {{\"0\": \"a\"}},\n \"drop\": {number}}}"))],
        );
        assert!(
            error.starts_with("config.json is not JSON: Python's NaN or Infinity is in it, at line 2"),
            "{error}"
        );
    }
    insta::assert_snapshot!(refused(&toy(), &[(PROCESSOR, r#"{"image_mean": "half"}"#)]), @"preprocessor_config.json can't be understood: expected a number or a list of numbers at line 1 column 22");
    insta::assert_snapshot!(refused(&toy(), &[("tagfleet.toml", "crop = -1")]), @r#"
    tagfleet.toml: the file can't be understood: TOML parse error at line 1, column 8
      |
    1 | crop = -1
      |        ^^
    expected a number of pixels, [height, width] or "none"
    "#);
    insta::assert_snapshot!(refused(&toy(), &[("tagfleet.toml", "scale = inf")]), @"tagfleet.toml: a scale, offset, mean or std is not a finite number");
}

#[cfg(unix)]
#[test]
fn a_pipe_is_not_waited_for() {
    let folder = folder(&toy(), &[]);
    let made = std::process::Command::new("mkfifo").arg(folder.path().join("config.json")).status();
    assert!(made.unwrap().success());
    let error = open_path(folder.path(), folder.path(), &ModelOptions::default()).unwrap_err();
    insta::assert_snapshot!(error, @"config.json can't be read: it is not a regular file");
    let pipe = folder.path().join("config.json");
    let error = open_path(folder.path(), &pipe, &ModelOptions::default()).unwrap_err();
    insta::assert_snapshot!(error, @"config.json is neither a file nor a folder");
}

#[test]
fn larger_than_any_configuration() {
    let folder = folder(&toy(), &[]);
    let file = std::fs::File::create(folder.path().join("config.json")).unwrap();
    file.set_len(1 << 40).unwrap();
    let error = open_path(folder.path(), folder.path(), &ModelOptions::default()).unwrap_err();
    insta::assert_snapshot!(error, @"config.json is larger than 16 MiB: that is not a configuration");
}

#[test]
fn numbers_that_make_no_picture() {
    let processor = |fields: &str| {
        refused(
            &toy(),
            &[(PROCESSOR, &format!(r#"{{"image_processor_type": "ViTImageProcessor", {fields}}}"#))],
        )
    };
    insta::assert_snapshot!(processor(r#""size": 0"#), @"size of preprocessor_config.json is 0, but a side has 1 to 8192 pixels");
    insta::assert_snapshot!(processor(r#""size": {"height": 100000, "width": 224}"#), @"size of preprocessor_config.json is 100000, but a side has 1 to 8192 pixels");
    insta::assert_snapshot!(processor(r#""size": {"longest_edge": 224}"#), @r#"size of preprocessor_config.json is {"longest_edge":224}, but a number, height and width, or shortest_edge was expected: give resize and crop in tagfleet.toml"#);
    insta::assert_snapshot!(processor(r#""size": {"shortest_edge": 224}"#), @"preprocessor_config.json keeps each picture's own shape, but a model takes one size: give crop, or an exact resize, in tagfleet.toml");
    insta::assert_snapshot!(processor(r#""size": 256"#), @"preprocessor_config.json makes pictures of 256x256 (height x width), but the model takes 224x224: give resize and crop in tagfleet.toml");
    insta::assert_snapshot!(processor(r#""resample": 6"#), @"preprocessor_config.json: resample is 6, but Pillow's filters are 0 to 5");
    insta::assert_snapshot!(processor(r#""image_std": [0, 0, 0]"#), @"preprocessor_config.json: a scale or std is zero, which would erase the picture");
    insta::assert_snapshot!(processor(r#""image_mean": [0.5, 0.5]"#), @"preprocessor_config.json: the mean does not have one value for each of the model's 3 channel(s): give it in tagfleet.toml");
    insta::assert_snapshot!(processor(r#""rescale_factor": 1e300"#), @"preprocessor_config.json: a scale, offset, mean or std is not a finite number");
    insta::assert_snapshot!(processor(r#""do_pad": true"#), @r#"
    preprocessor_config.json is read only in part: tagfleet does not know do_pad = true; write tagfleet.toml into the model's folder with the steps its author uses. As far as they are known:

        resize = [224, 224]
        crop = "none"
        filter = "bilinear"
        scale = 0.00392156862745098
        mean = [0.5, 0.5, 0.5]
        std = [0.5, 0.5, 0.5]
    "#);
    insta::assert_snapshot!(processor(r#""do_center_crop": true"#), @"preprocessor_config.json: do_center_crop is true, but there is no crop_size: give crop in tagfleet.toml");
}

#[test]
fn inputs_that_fit_in_no_memory() {
    let refused = |dims: [i64; 4]| refused(&Toy { input: dims.to_vec(), ..Toy::default() }, &[]);
    insta::assert_snapshot!(refused([1024, 3, 4096, 4096]), @"1024 image(s) of 4096x4096 with 3 channel(s) at once are 51539607552 numbers, but tagfleet feeds at most 67108864: export the model with a smaller input or a dynamic batch");
    insta::assert_snapshot!(refused([0, 3, 8192, 8191]), @"1 image(s) of 8192x8191 with 3 channel(s) at once are 201302016 numbers, but tagfleet feeds at most 67108864: export the model with a smaller input or a dynamic batch");
    insta::assert_snapshot!(refused([0, 3, 1 << 62, 1 << 62]), @"a guess makes pictures of 224x224 (height x width), but the model takes 4611686018427387904x4611686018427387904: give resize and crop in tagfleet.toml");
    assert!(open(&Toy { input: vec![16, 3, 1024, 1024], ..Toy::default() }, &[]).is_ok());
}

#[test]
fn processors_that_are_not_known() {
    let named =
        |class: &str| refused(&toy(), &[(PROCESSOR, &format!(r#"{{"image_processor_type": "{class}"}}"#))]);
    insta::assert_snapshot!(named("DonutImageProcessor"), @r#"
    preprocessor_config.json: DonutImageProcessor is not a processor tagfleet knows; write tagfleet.toml into the model's folder with the steps its author uses. As far as they are known:

        resize = "none"
        crop = "none"
        scale = 0.00392156862745098
        mean = [0.485, 0.456, 0.406]
        std = [0.229, 0.224, 0.225]
    "#);
    insta::assert_snapshot!(named("Siglip2ImageProcessorFast"), @r#"
    preprocessor_config.json: Siglip2ImageProcessorFast cuts pictures into a varying number of patches, which is not an image input; write tagfleet.toml into the model's folder with the steps its author uses. As far as they are known:

        resize = "none"
        crop = "none"
        scale = 0.00392156862745098
        mean = [0.485, 0.456, 0.406]
        std = [0.229, 0.224, 0.225]
    "#);
    insta::assert_snapshot!(named("ViT"), @r#"
    preprocessor_config.json: ViT is not a processor tagfleet knows; write tagfleet.toml into the model's folder with the steps its author uses. As far as they are known:

        resize = "none"
        crop = "none"
        scale = 0.00392156862745098
        mean = [0.485, 0.456, 0.406]
        std = [0.229, 0.224, 0.225]
    "#);
}

#[test]
fn colour_and_channels_must_agree() {
    let gray = Toy { input: vec![0, 1, 224, 224], ..Toy::default() };
    insta::assert_snapshot!(refused(&gray, &[("tagfleet.toml", "color = \"bgr\"")]), @"the model's input takes 1 channel(s), but a Bgr picture was asked for: give another color in tagfleet.toml");
}
