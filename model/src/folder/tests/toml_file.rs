//! `tagfleet.toml`: it changes only what it states, and what is written of it is read as the same.

use proptest::prelude::*;
use tract_onnx::pb::tensor_proto::DataType;

use super::super::steps::Steps;
use super::*;
use crate::graph::Element;
use crate::preprocessing::{Anchor, Arithmetic, Color, Fill, Filter, Layout, Resize, ResizeTo, Size};

fn with(toml: &str) -> Preprocessing {
    open(&toy(), &[("tagfleet.toml", toml)]).unwrap().preprocessing
}

#[test]
fn a_setting_that_is_left_out_keeps_its_value() {
    let bare = open(&toy(), &[]).unwrap().preprocessing;
    let scale = bare.scale;
    assert_eq!(with("mean = [0.485, 0.456, 0.406]\nstd = [0.229, 0.224, 0.225]").scale, scale);
    assert_eq!(
        with("filter = \"bicubic\"").resize.map(|resize| resize.to),
        bare.resize.map(|resize| resize.to)
    );
    assert_eq!(with("crop = 224\nstd = 0.5").mean, bare.mean);
    assert_eq!(with("activation = \"none\""), bare);
}

#[test]
fn a_mean_of_another_scale_is_refused() {
    insta::assert_snapshot!(refused(&toy(), &[("tagfleet.toml", "mean = [103.939, 116.779, 123.68]\nstd = 1.0")]), @"tagfleet.toml: the mean 103.939 is not within 0 to 1, which are the values that scale = 0.00392156862745098 and offset = 0 give: give scale and offset with it, for example scale = 1.0 if samples stay 0 to 255, or scale = 0.00392156862745098 if they become 0 to 1");
}

#[test]
fn unknown_keys_are_refused_with_the_nearest() {
    let error = refused(&toy(), &[("tagfleet.toml", "colour = \"bgr\"")]);
    assert!(error.contains("the key \"colour\" is not known: is \"color\" meant?"), "{error}");
    let error = refused(&toy(), &[("tagfleet.toml", "resize = { cover = 3 }")]);
    assert!(error.contains("{ cover = [height, width] }"), "{error}");
    for wrong in
        ["square = \"zero\"", "fill = \"none\"", "fill = 256", "resize = { fit = [1, 2], cover = [1, 2] }"]
    {
        assert!(open(&toy(), &[("tagfleet.toml", wrong)]).is_err(), "{wrong}");
    }
}

#[test]
fn every_key_is_documented() {
    let source = include_str!("../../folder.rs");
    let guide = include_str!("../../../../docs/models/preprocessing.md");
    for key in overrides::KEYS {
        assert!(source.contains(&format!("//! {key} = ")), "{key}");
        assert!(guide.contains(&format!("\n{key} = ")), "{key}");
    }
}

#[test]
fn graphs_of_integers_get_samples_as_they_are() {
    let numbers = |element, toml| {
        let toy = Toy { element, ..toy() };
        open(&toy, &[("tagfleet.toml", toml)]).map(|spec| {
            let steps = spec.preprocessing;
            (steps.scale, steps.offset, steps.mean, steps.std)
        })
    };
    let plain = |offset| (1.0, offset, vec![0.0; 3], vec![1.0; 3]);
    let output = "output = \"logits\"";
    // Outputs of integers are refused, so that only the inputs of these toys are looked at.
    let input = |element| crate::graph::ImageInput {
        name: "x".to_owned(),
        element,
        batch: None,
        layout: Layout::Nchw,
        channels: 3,
        height: Some(8),
        width: Some(8),
    };
    let finish = |element, toml: &str| {
        let mut steps = Steps { crop: Some(Size { height: 8, width: 8 }), ..Steps::of_element(element) };
        Overrides::parse(toml).unwrap().apply(&mut steps, &mut Vec::new()).unwrap();
        steps.finish(&input(element), true).map(|steps| (steps.scale, steps.offset, steps.mean, steps.std))
    };
    assert_eq!(finish(Element::U8, "").unwrap(), plain(0.0));
    assert_eq!(finish(Element::I8, "").unwrap(), plain(-128.0));
    assert!(finish(Element::I8, "offset = 0.0").is_err());
    let error = finish(Element::U8, "scale = 0.5").unwrap_err().to_string();
    insta::assert_snapshot!(error, @"tagfleet.toml: the model takes integers from 0 to 255, but a sample becomes 0.5: give scale = 1.0, offset = 0.0, mean = 0.0 and std = 1.0 in tagfleet.toml");
    assert!(numbers(DataType::Uint8, output).unwrap_err().contains("logits"));
}

prop_compose! {
    fn sizes()(height in 1_u32..9000, width in 1_u32..9000) -> Size {
        Size { height: height.min(8192), width: width.min(8192) }
    }
}

fn targets() -> impl Strategy<Value = ResizeTo> {
    prop_oneof![
        (1_u32..8193).prop_map(ResizeTo::ShortestEdge),
        sizes().prop_map(ResizeTo::Exact),
        sizes().prop_map(ResizeTo::Cut),
        sizes().prop_map(ResizeTo::Cover),
        sizes().prop_map(ResizeTo::Fit),
        sizes().prop_map(ResizeTo::Height),
    ]
}

prop_compose! {
    fn geometry()(
        square in prop::option::of(any::<[u8; 3]>()),
        resize in prop::option::of(targets()),
        filter in prop::sample::select(vec![
            Filter::Nearest, Filter::Lanczos, Filter::Bilinear, Filter::Bicubic, Filter::Box, Filter::Hamming, Filter::OpencvBilinear,
        ]),
        crop in prop::option::of((1_u32..1000, 1_u32..1000)),
        anchor in prop::sample::select(vec![Anchor::Center, Anchor::CenterTrunc, Anchor::CenterFloor, Anchor::TopLeft]),
        fill in prop_oneof![Just(Fill::Zero), any::<[u8; 3]>().prop_map(Fill::Color)],
    ) -> Preprocessing {
        let crop = crop.map(|(height, width)| Size { height, width });
        let exact = match resize {
            Some(ResizeTo::Exact(size) | ResizeTo::Cut(size)) => Some(size),
            _ => None,
        };
        let input = crop.or(exact).unwrap_or(Size { height: 8, width: 9 });
        let crop = if exact.is_some() { crop } else { Some(input) };
        // Only Pillow's filters cut.
        let filter = if matches!(resize, Some(ResizeTo::Cut(_))) { Filter::Lanczos } else { filter };
        let resize = resize.map(|to| Resize { to, filter });
        Preprocessing { square, resize, crop, anchor, fill, ..Preprocessing::plain(Color::Rgb, input) }
    }
}

prop_compose! {
    fn descriptions()(
        geometry in geometry(),
        color in prop::sample::select(vec![Color::Rgb, Color::Bgr, Color::Gray, Color::GrayMean]),
        scale in 1e-4..2.0_f64, offset in -300.0..300.0_f32, part in prop::array::uniform3(0.0..1.0_f32),
        std in prop::array::uniform3(1e-3..300.0_f32), std_twice in any::<bool>(),
        arithmetic in prop::sample::select(vec![Arithmetic::Separate, Arithmetic::Fused, Arithmetic::Single]),
        nhwc in any::<bool>(),
    ) -> Preprocessing {
        let mean = part.map(|part| offset + part * 255.0 * scale as f32).to_vec();
        Preprocessing {
            color, scale, offset, mean, std: std.to_vec(), std_twice, arithmetic,
            layout: if nhwc { Layout::Nhwc } else { Layout::Nchw },
            ..geometry
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_as_the_same(steps in descriptions(), name in any::<String>()) {
        let description = Description {
            preprocessing: &steps,
            activation: Some(Activation::Sigmoid),
            output: Some(&name),
            labels: Some("names.txt"),
        };
        let overrides = Overrides::parse(&description.toml()).unwrap();
        prop_assert_eq!(overrides.output.as_deref(), Some(name.as_str()));
        prop_assert_eq!(overrides.labels.as_deref(), Some("names.txt"));
        prop_assert_eq!(overrides.activation, Some(Activation::Sigmoid));
        let input = crate::graph::ImageInput {
            name: "pixels".to_owned(),
            element: Element::F32,
            batch: None,
            layout: overrides.layout.unwrap(),
            channels: 3,
            height: None,
            width: None,
        };
        // The value without the file must not matter.
        for mut before in [Steps::default(), Steps { square: Some([9; 3]), fill: Fill::Zero, std_twice: true, ..Steps::of_element(Element::I8) }] {
            overrides.apply(&mut before, &mut Vec::new()).unwrap();
            match before.finish(&input, true) {
                Ok(read) => prop_assert_eq!(&read, &steps),
                // Only pictures that are too large for any batch.
                Err(error) => prop_assert!(error.to_string().contains("numbers, but tagfleet feeds"), "{}", error),
            }
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,200}", key in prop::sample::select(overrides::KEYS.to_vec()), value in "[-0-9a-z\"\\[\\]{}=., ]{0,40}") {
        for text in [text, format!("{key} = {value}")] {
            if let Ok(overrides) = Overrides::parse(&text) {
                let _ = overrides.apply(&mut Steps::default(), &mut Vec::new());
            }
        }
    }
}
