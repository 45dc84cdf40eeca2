//! The way to a device, all but the device: lanes that fail as devices do, and the graph for it on the
//! processor.

mod prepared;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use prost::Message;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{ModelProto, TensorProto};

use super::lane::{Batches, Failure};
use super::*;
use crate::engine::{
    Device, DeviceChoice, EngineChoice, EngineOptions, Loaded, Outputs, cuda_elsewhere, resolve,
};
use crate::folder::ModelOptions;
use crate::preprocessing::{Color, Layout, Preprocessing};
use crate::testing::Toy;

/// A lane that gives back each crop's bytes, has room for this many images, and breaks after this many
/// batches.
struct Stub {
    rows: usize,
    room: usize,
    batches: usize,
    /// Receives how many images each batch had.
    ran: Sender<usize>,
}

impl Batches for Stub {
    fn rows(&self) -> usize {
        self.rows
    }

    fn resize(&mut self, rows: usize) -> Result<(), Failure> {
        self.rows = rows;
        Ok(())
    }

    fn run(&mut self, images: &[&[u8]]) -> Result<Vec<Vec<f32>>, Failure> {
        assert!(images.len() <= self.rows);
        if self.rows > self.room {
            return Err(Failure::Memory("no room".to_owned()));
        }
        assert!(images[0][0] != PANICS, "a bug");
        if self.batches == 0 {
            return Err(Failure::Other(EngineError::new("the GPU has fallen off the bus")));
        }
        self.batches -= 1;
        let _ = self.ran.send(images.len());
        Ok(vec![images.iter().flat_map(|image| image.iter().map(|byte| f32::from(*byte))).collect()])
    }
}

/// A crop of which panics the lane that gets it.
const PANICS: u8 = 255;

/// A model without labels whose vector is its input.
fn echo(dims: Vec<i64>, change: impl FnOnce(&mut Preprocessing)) -> (tempfile::TempDir, Model) {
    let folder = tempfile::tempdir().unwrap();
    Toy { input: dims, hidden: true, ..Toy::default() }.write(folder.path(), "model.onnx");
    let options = ModelOptions { vector: Some("pixels_out"), ..ModelOptions::default() };
    let mut model = Model::open(folder.path(), &options).unwrap();
    change(&mut model.spec.preprocessing);
    (folder, model)
}

fn stubs(lanes: usize, room: usize, batches: usize) -> (Feed, Receiver<usize>) {
    let (_folder, model) = echo(vec![0, 3, 8, 8], |_| ());
    let (ran, batch_sizes) = channel();
    let stub = || -> Box<dyn Batches> { Box::new(Stub { rows: 16, room, batches, ran: ran.clone() }) };
    let feed = Feed::with((0..lanes).map(|_| stub()).collect(), ModelIo::of(&model), (16, Arc::default()));
    (feed.unwrap(), batch_sizes)
}

/// A crop whose bytes all are `value`.
fn crop(value: u8) -> Vec<u8> {
    vec![value; 3 * 8 * 8]
}

fn values(outputs: &Outputs) -> Vec<f32> {
    outputs.vector.clone().unwrap()
}

#[test]
fn every_thread_gets_the_rows_of_its_own_crops() {
    let (feed, _) = stubs(2, 16, usize::MAX);
    thread::scope(|scope| {
        for number in 0..12_u8 {
            let mut feeder = feed.feeder();
            scope.spawn(move || {
                for round in 0..20 {
                    let (first, second) = (number, 100 + round);
                    let mut crops = [crop(first), crop(second)].concat();
                    let outputs = feeder.run(&mut crops, 2).unwrap();
                    assert_eq!(crops, [crop(first), crop(second)].concat(), "its memory comes back");
                    let expected: Vec<f32> = crops.iter().map(|byte| f32::from(*byte)).collect();
                    assert_eq!((outputs.vector_len, values(&outputs)), (192, expected));
                }
            });
        }
    });
}

#[test]
fn threads_together_have_a_batch_for_each_lane_and_one_in_the_making() {
    let (feed, _) = stubs(1, 16, usize::MAX);
    let feeders: Vec<Feeder> = (0..12).map(|_| feed.feeder()).collect();
    assert_eq!(
        (feeders[0].batch_size(), feeders[0].inference_batch_size()),
        (4, 16),
        "12 threads, 48 images"
    );
    drop(feeders);
    assert_eq!(feed.feeder().batch_size(), 16, "alone it brings a whole batch");
}

#[test]
fn where_memory_runs_out_the_batch_halves_and_no_image_is_lost() {
    let (feed, batch_sizes) = stubs(1, 5, usize::MAX);
    let mut feeder = feed.feeder();
    let mut crops: Vec<u8> = (0..16).flat_map(crop).collect();
    let outputs = feeder.run(&mut crops, 16).unwrap();
    assert_eq!(values(&outputs), crops.iter().map(|byte| f32::from(*byte)).collect::<Vec<_>>());
    assert_eq!((feeder.inference_batch_size(), feeder.batch_size()), (4, 4));
    assert_eq!(batch_sizes.try_iter().collect::<Vec<_>>(), [4, 4, 4, 4]);
}

#[test]
fn where_not_even_one_image_has_room_it_is_said() {
    let (feed, _) = stubs(1, 0, usize::MAX);
    let error = feed.feeder().run(&mut crop(1), 1).unwrap_err();
    insta::assert_snapshot!(error, @"the device has too little memory for 1 image(s) at once, and takes no smaller batch: no room");
}

#[test]
fn a_device_that_is_lost_fails_whoever_waits_and_whoever_comes() {
    let (feed, _) = stubs(1, 16, 1);
    let mut feeder = feed.feeder();
    assert!(feeder.run(&mut crop(1), 1).is_ok());
    for _ in 0..3 {
        let error = feeder.run(&mut crop(1), 1).unwrap_err();
        assert_eq!(error.to_string(), "the GPU has fallen off the bus");
    }
    assert!(feed.feeder().run(&mut crop(1), 1).is_err());
}

#[test]
fn nobody_waits_for_a_lane_that_is_gone() {
    let (feed, _) = stubs(1, 16, usize::MAX);
    for _ in 0..2 {
        let error = feed.feeder().run(&mut crop(PANICS), 1).unwrap_err();
        assert_eq!(error.to_string(), "the thread of the device has ended");
    }
}

#[test]
fn crops_of_another_length_are_refused() {
    let (feed, _) = stubs(1, 16, 1);
    let error = feed.feeder().run(&mut vec![0; 100], 1).unwrap_err();
    insta::assert_snapshot!(error, @"expected 1 images of 192 bytes, got 100 bytes");
}

#[test]
fn what_cuda_says_of_memory_is_understood() {
    for said in [
        "Non-zero status code returned while running Conv node. BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer of size 1258291200",
        "CUDA failure 2: out of memory ; GPU=0 ; hostname=a ; expr=cudaMalloc((void**)&p, size);",
        "CUDNN failure 4003: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    ] {
        assert!(lane::is_out_of_memory(said), "{said}");
    }
    assert!(!lane::is_out_of_memory("CUDA failure 999: unknown error ; GPU=0"));
}

#[test]
fn the_largest_batch_that_has_room_is_measured_and_the_smallest_that_is_as_fast_taken() {
    let (ran, _batch_sizes) = channel();
    let mut stub = Stub { rows: 1, room: 32, batches: usize::MAX, ran };
    let rows = size::find(&mut stub, 192).unwrap();
    assert!([8, 16, 32].contains(&rows) && stub.rows == rows, "{rows}");
    stub.batches = 0;
    assert!(size::find(&mut stub, 192).is_err(), "a lost device is no size");
}

/// ONNX Runtime on this processor, fed as a device is; or `None` and a message if its library is absent.
fn on_processor(model: &Model, precision: Precision) -> Option<Loaded> {
    if let Err(error) = onnxruntime::load(None) {
        eprintln!("SKIPPED: {error}");
        return None;
    }
    Some(Loaded::on_device(model, precision, Device::Rehearsal).unwrap())
}

#[test]
fn what_the_model_sees_has_the_bits_that_the_processor_gives_it() {
    for layout in [Layout::Nchw, Layout::Nhwc] {
        for color in [Color::Rgb, Color::Bgr, Color::Gray] {
            let channels = if color == Color::Gray { 1 } else { 3 };
            let dims = if layout == Layout::Nchw { vec![0, channels, 8, 8] } else { vec![0, 8, 8, channels] };
            let (_folder, model) = echo(dims, |steps| {
                steps.color = color;
                steps.offset = 0.1;
                steps.mean = vec![0.485, 0.456, 0.406][..channels as usize].to_vec();
                steps.std = vec![0.229, 0.224, 0.225][..channels as usize].to_vec();
            });
            assert_eq!(model.spec.preprocessing.layout, layout);
            let Some(loaded) = on_processor(&model, Precision::Fp32) else { return };
            let length = (channels * 64) as usize;
            let mut crop: Vec<u8> = (0..length).map(|index| (index * 37 % 256) as u8).collect();
            let given = values(&loaded.feeder().unwrap().run(&mut crop, 1).unwrap());
            assert_eq!(bits(&given), bits(&expected(&model, &crop)), "{layout:?} {color:?}");
        }
    }
}

/// The tensor of a crop by the tables that the processor uses.
fn expected(model: &Model, crop: &[u8]) -> Vec<f32> {
    let steps = Preprocessor::new(&model.spec.preprocessing).unwrap();
    let channels = steps.tables().len();
    let mut tensor = vec![0.0; crop.len()];
    for (pixel, samples) in crop.chunks_exact(channels).enumerate() {
        for (channel, table) in steps.tables().iter().enumerate() {
            let place = match model.spec.preprocessing.layout {
                Layout::Nchw => channel * crop.len() / channels + pixel,
                Layout::Nhwc => pixel * channels + channel,
            };
            tensor[place] = table.values[usize::from(samples[table.sample])];
        }
    }
    tensor
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn scores_are_those_of_the_engine_without_a_device() {
    let folder = tempfile::tempdir().unwrap();
    for input in [vec![0, 3, 8, 8], vec![4, 3, 8, 8]] {
        Toy { input, external: Some("weights.bin"), ..Toy::default() }.write(folder.path(), "model.onnx");
        let weights: Vec<u8> =
            (0..12).flat_map(|index| ((index * 5 % 7) as f32 / 4.0).to_le_bytes()).collect();
        std::fs::write(folder.path().join("weights.bin"), weights).unwrap();
        let model = Model::open(folder.path(), &ModelOptions::default()).unwrap();
        let Some(loaded) = on_processor(&model, Precision::Fp32) else { return };
        let mut crops: Vec<u8> = (0..5 * 192).map(|index| (index * 31 % 251) as u8).collect();
        let given = loaded.feeder().unwrap().run(&mut crops, 5).unwrap();
        let record = resolve(&EngineOptions::of(EngineChoice::OnnxRuntime), &model).unwrap().record;
        let usual = Loaded::load(&record, &model).unwrap();
        let tensors: Vec<f32> = crops.chunks_exact(192).flat_map(|crop| expected(&model, crop)).collect();
        let expected = usual.session().unwrap().run(&tensors, 5).unwrap();
        assert_eq!((given.classes, bits(&given.scores)), (4, bits(&expected.scores)));
        let halved = on_processor(&model, Precision::Fp16).unwrap();
        let halved = halved.feeder().unwrap().run(&mut crops, 5).unwrap();
        for (narrow, wide) in halved.scores.iter().zip(&given.scores) {
            assert!((narrow - wide).abs() < 0.02, "{narrow} {wide}");
        }
        assert_ne!(halved.scores, given.scores, "16 bits were used");
    }
}

#[test]
fn a_model_is_rehearsed_before_it_is_sent_to_where_a_device_is() {
    let folder = tempfile::tempdir().unwrap();
    Toy::default().write(folder.path(), "model.onnx");
    let model = Model::open(folder.path(), &ModelOptions::default()).unwrap();
    if on_processor(&model, Precision::Fp32).is_none() {
        return;
    }
    assert_eq!(rehearse(&model, Precision::Fp16), Ok(()));
    Toy { last: Some("Celu"), ..Toy::default() }.write(folder.path(), "model.onnx");
    let model = Model::open(folder.path(), &ModelOptions::default()).unwrap();
    assert_eq!(rehearse(&model, Precision::Fp32), Ok(()));
    let error = rehearse(&model, Precision::Fp16).unwrap_err().to_string();
    assert!(error.contains("\"Celu\"") && error.contains("leave out --precision fp16"), "{error}");
}

#[test]
fn without_a_gpu_its_absence_is_said() {
    let (_folder, model) = echo(vec![0, 3, 8, 8], |_| ());
    let Ok(library) = onnxruntime::load(None) else {
        eprintln!("SKIPPED: no ONNX Runtime");
        return;
    };
    let Some(missing) = missing(&library) else {
        eprintln!("SKIPPED: there is a GPU here");
        return;
    };
    let asked = EngineOptions { device: DeviceChoice::Cuda, ..EngineOptions::default() };
    let error = resolve(&asked, &model).unwrap_err().to_string();
    assert!(error.contains(&missing) && error.contains("--device cpu"), "{error}");
    let auto = resolve(&EngineOptions::default(), &model).unwrap();
    assert_eq!(auto.record.device, Device::Cpu);
    assert!(auto.why.ends_with(&format!("; no GPU: {missing}")), "{}", auto.why);
    let begun = cuda_elsewhere(&library.version, &model, Precision::Fp32).unwrap();
    let error = Loaded::load(&begun, &model).err().unwrap().to_string();
    assert!(error.starts_with("the run is for a GPU, and this machine has none: "), "{error}");
}

#[test]
fn what_a_model_in_sixteen_bits_has_in_thirty_two_stays_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut proto = Toy { element: DataType::Float16, ..Toy::default() }.proto();
    let wide = TensorProto {
        name: "wide".to_owned(),
        data_type: DataType::Float as i32,
        dims: vec![1],
        float_data: vec![1e6],
        ..TensorProto::default()
    };
    proto.graph.as_mut().unwrap().initializer.push(wide.clone());
    std::fs::write(folder.path().join("model.onnx"), proto.encode_to_vec()).unwrap();
    let model = Model::open(folder.path(), &ModelOptions::default()).unwrap();
    let graph = graph_for_device(&model, Precision::Fp16).unwrap();
    assert_eq!(
        graph,
        graph_for_device(&model, Precision::Fp32).unwrap(),
        "what a worker runs is what was tried"
    );
    let graph = ModelProto::decode(graph.as_slice()).unwrap().graph.unwrap();
    assert!(graph.initializer.contains(&wide));
}
