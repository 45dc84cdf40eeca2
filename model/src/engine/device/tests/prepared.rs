//! Pictures prepared for a device: what its model sees has the bits that an engine on the processor is fed.

use tract_onnx::pb::tensor_proto::DataType;

use super::*;
use crate::engine::{EngineChoice, EngineOptions, resolve};
use crate::grid::Grid;
use crate::pixels::Pixels;
use crate::preprocessing::{Anchor, Arithmetic, Fill, Filter, Resize, ResizeTo, Size};

const SIDE: u32 = 8;

/// Noise that is not a multiple of the input.
fn picture(channels: u8) -> Pixels {
    let (width, height) = (13, 5);
    let data = (0..width * height * u32::from(channels)).map(|index| (index * 97 % 251) as u8).collect();
    Pixels { width, height, channels, data }
}

/// A crop that pads two sides of the picture.
fn letterbox(steps: &mut Preprocessing, fill: Fill) {
    let size = Size { height: SIDE, width: SIDE };
    steps.resize = Some(Resize { to: ResizeTo::Fit(size), filter: Filter::Bilinear });
    steps.crop = Some(size);
    steps.anchor = Anchor::TopLeft;
    steps.fill = fill;
}

/// What the model's vector is with and without a device.
fn both(model: &Model, picture: &Pixels, precision: Precision) -> Option<[Vec<f32>; 2]> {
    let loaded = on_processor(model, precision)?;
    let mut preprocessor = Preprocessor::new(&model.spec.preprocessing).unwrap();
    let grid = Grid::whole(Size { height: picture.height, width: picture.width });
    let mut crop = vec![7; preprocessor.crop_len()];
    preprocessor.write_crop(picture, &grid, &mut crop).unwrap();
    let device = values(&loaded.feeder().unwrap().run(&mut crop, 1).unwrap());
    let mut tensor = vec![7.0; preprocessor.tensor_len()];
    preprocessor.write(picture, &grid, &mut tensor).unwrap();
    let options = EngineOptions { device: DeviceChoice::Cpu, ..EngineOptions::of(EngineChoice::OnnxRuntime) };
    let record = resolve(&options, model).unwrap().record;
    let mut engine = Loaded::load(&record, model).unwrap().session().unwrap();
    Some([device, engine.run(&tensor, 1).unwrap().vector.unwrap()])
}

#[test]
fn every_colour_layout_and_padding_has_the_same_bits_with_a_device_and_without() {
    let side = i64::from(SIDE);
    for layout in [Layout::Nchw, Layout::Nhwc] {
        for (color, channels) in [
            (Color::Rgb, 3),
            (Color::Bgr, 3),
            (Color::Gray, 1),
            (Color::Gray, 3),
            (Color::GrayMean, 1),
            (Color::GrayMean, 3),
        ] {
            for fill in [Fill::Color([10, 20, 30]), Fill::Zero] {
                let dims = match layout {
                    Layout::Nchw => vec![0, channels, side, side],
                    Layout::Nhwc => vec![0, side, side, channels],
                };
                let (_folder, model) = echo(dims, |steps| {
                    steps.color = color;
                    steps.arithmetic = Arithmetic::Fused;
                    steps.mean = vec![0.485, 0.456, 0.406][..channels as usize].to_vec();
                    steps.std = vec![0.229, 0.224, 0.225][..channels as usize].to_vec();
                    letterbox(steps, fill);
                });
                for samples in [1, 3] {
                    let Some([device, usual]) = both(&model, &picture(samples), Precision::Fp32) else {
                        return;
                    };
                    assert_eq!(bits(&device), bits(&usual), "{layout:?} {color:?} {channels} {fill:?}");
                    let zeros = device.iter().filter(|value| value.to_bits() == 0).count();
                    assert_eq!(zeros > 0, fill == Fill::Zero, "{zeros}");
                }
            }
        }
    }
}

/// A model without labels whose vector is its input of bytes, as floats.
fn echo_bytes(kind: DataType) -> (tempfile::TempDir, Model) {
    let folder = tempfile::tempdir().unwrap();
    let dims = vec![0, 3, i64::from(SIDE), i64::from(SIDE)];
    Toy { input: dims, hidden: true, input_element: Some(kind), ..Toy::default() }
        .write(folder.path(), "model.onnx");
    let options = ModelOptions { vector: Some("pixels_out"), ..ModelOptions::default() };
    let mut model = Model::open(folder.path(), &options).unwrap();
    letterbox(&mut model.spec.preprocessing, Fill::Color([255, 128, 0]));
    (folder, model)
}

#[test]
fn graphs_of_bytes_get_bytes_from_every_engine() {
    for (kind, least) in [(DataType::Uint8, 0.0), (DataType::Int8, -128.0)] {
        let (_folder, model) = echo_bytes(kind);
        let mut preprocessor = Preprocessor::new(&model.spec.preprocessing).unwrap();
        let picture = picture(3);
        let grid = Grid::whole(Size { height: picture.height, width: picture.width });
        let mut tensor = vec![7.0; preprocessor.tensor_len()];
        preprocessor.write(&picture, &grid, &mut tensor).unwrap();
        let last = tensor.iter().copied().fold(f32::MAX, f32::min);
        assert_eq!(last, least, "black padding is the least value");
        for choice in [EngineChoice::Tract, EngineChoice::OnnxRuntime, EngineChoice::OpenVino] {
            let options = EngineOptions { device: DeviceChoice::Cpu, ..EngineOptions::of(choice) };
            let Ok(resolved) = resolve(&options, &model) else {
                eprintln!("SKIPPED: no {choice:?}");
                continue;
            };
            let mut engine = Loaded::load(&resolved.record, &model).unwrap().session().unwrap();
            let found = engine.run(&tensor, 1).unwrap().vector.unwrap();
            assert_eq!(found, tensor, "{kind:?} {choice:?}");
        }
        for precision in [Precision::Fp32, Precision::Fp16] {
            let Some([device, usual]) = both(&model, &picture, precision) else { return };
            assert_eq!(device, usual, "{kind:?} {precision:?}");
        }
    }
}
