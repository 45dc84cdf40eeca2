//! Writes the binary seeds of the fuzz targets: pictures of every format, a small graph, answers of a child.
//!
//! `cargo run --package tagfleet-model --example fuzz_seeds fuzz/seeds` makes them again, from nothing but
//! this program. Text seeds are next to them as they were written.

use std::error::Error;
use std::fs;
use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ImageFormat, RgbImage};
use prost::Message;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, type_proto,
};
use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let folder = std::env::args_os().nth(1).ok_or("give the folder of the seeds")?;
    let folder = Path::new(&folder);
    pictures(&folder.join("decode"))?;
    fs::write(folder.join("toy.onnx"), toy().encode_to_vec())?;
    graphs(&folder.join("model_folder"))?;
    answers(&folder.join("child_answer"))
}

fn pictures(folder: &Path) -> Outcome<()> {
    fs::create_dir_all(folder)?;
    let picture = gradient(24, 16);
    let color = DynamicImage::ImageRgb8(picture.clone());
    let alpha = DynamicImage::ImageRgba8(color.to_rgba8());
    let deep = DynamicImage::ImageRgba16(color.to_rgba16());
    let gray = DynamicImage::ImageLuma8(color.to_luma8());
    let jpeg = jpeg(&picture, Subsamp::Sub2x2, false)?;
    for (name, bytes) in [
        ("checks.png", encode(&color, ImageFormat::Png)?),
        ("alpha.png", encode(&alpha, ImageFormat::Png)?),
        ("deep.png", encode(&deep, ImageFormat::Png)?),
        ("gray.png", encode(&gray, ImageFormat::Png)?),
        ("colors.gif", encode(&alpha, ImageFormat::Gif)?),
        ("rows.bmp", encode(&color, ImageFormat::Bmp)?),
        ("strips.tiff", encode(&color, ImageFormat::Tiff)?),
        ("gray.tiff", encode(&gray, ImageFormat::Tiff)?),
        ("lossless.webp", encode(&alpha, ImageFormat::WebP)?),
        ("whole.jpg", self::jpeg(&picture, Subsamp::None, false)?),
        ("progressive.jpg", self::jpeg(&picture, Subsamp::Sub2x2, true)?),
        ("gray.jpg", self::jpeg(&picture, Subsamp::Gray, false)?),
        ("large.jpg", self::jpeg(&gradient(150, 210), Subsamp::Sub2x2, false)?),
        ("cmyk.jpg", cmyk()?),
        ("turned.jpg", turned(&jpeg)),
        ("half.jpg", jpeg[..jpeg.len() * 3 / 4].to_vec()),
    ] {
        fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}

/// A smooth picture in which every corner looks different.
fn gradient(width: u32, height: u32) -> RgbImage {
    let shade = |x: u32, y: u32, channel: u32| (x * 140 / width + y * 60 / height + channel * 20) as u8;
    RgbImage::from_fn(width, height, |x, y| image::Rgb([shade(x, y, 0), shade(x, y, 1), shade(x, y, 2)]))
}

fn encode(picture: &DynamicImage, format: ImageFormat) -> Outcome<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format)?;
    Ok(bytes.into_inner())
}

fn jpeg(picture: &RgbImage, subsampling: Subsamp, progressive: bool) -> Outcome<Vec<u8>> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let pixels = picture.as_raw().as_slice();
    let mut compressor = Compressor::new()?;
    compressor.set_quality(60)?;
    compressor.set_subsamp(subsampling)?;
    compressor.set_progressive(progressive)?;
    let image = Image { pixels, width, pitch: width * 3, height, format: PixelFormat::RGB };
    Ok(compressor.compress_to_vec(image)?)
}

/// As Adobe's encoders write it: YCCK, inverted.
fn cmyk() -> Outcome<Vec<u8>> {
    let pixels = [200, 100, 50, 250].repeat(64);
    let image =
        Image { pixels: pixels.as_slice(), width: 8, pitch: 32, height: 8, format: PixelFormat::CMYK };
    let mut compressor = Compressor::new()?;
    compressor.set_subsamp(Subsamp::None)?;
    Ok(compressor.compress_to_vec(image)?)
}

/// The file with an EXIF orientation of a quarter turn.
fn turned(jpeg: &[u8]) -> Vec<u8> {
    let exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let length = (exif.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, exif, &jpeg[2..]].concat()
}

/// A classifier that averages each channel and multiplies with a matrix of four rows.
fn toy() -> ModelProto {
    let node = vec![
        op("GlobalAveragePool", &["pixels"], "embedding"),
        op("Flatten", &["embedding"], "flat"),
        op("MatMul", &["flat", "weights"], "logits"),
    ];
    let graph = GraphProto {
        name: "toy".to_owned(),
        node,
        initializer: vec![TensorProto {
            name: "weights".to_owned(),
            data_type: DataType::Float as i32,
            dims: vec![3, 4],
            raw_data: (0..12).flat_map(|index| (index as f32 / 8.0).to_le_bytes()).collect(),
            ..TensorProto::default()
        }],
        input: vec![value("pixels", &[0, 3, 32, 40])],
        output: vec![value("logits", &[0, 4]), value("embedding", &[0, 3, 1, 1])],
        ..GraphProto::default()
    };
    ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 13 }],
        graph: Some(graph),
        ..ModelProto::default()
    }
}

fn op(op_type: &str, input: &[&str], output: &str) -> NodeProto {
    NodeProto {
        op_type: op_type.to_owned(),
        name: output.to_owned(),
        input: input.iter().map(|&name| name.to_owned()).collect(),
        output: vec![output.to_owned()],
        ..NodeProto::default()
    }
}

/// A tensor of floats; 0 means a dynamic dimension.
fn value(name: &str, dims: &[i64]) -> ValueInfoProto {
    let dim = |&size: &i64| Dimension {
        value: Some(match size {
            0 => dimension::Value::DimParam("n".to_owned()),
            size => dimension::Value::DimValue(size),
        }),
        ..Dimension::default()
    };
    let shape = TensorShapeProto { dim: dims.iter().map(dim).collect() };
    let tensor = type_proto::Tensor { elem_type: DataType::Float as i32, shape: Some(shape) };
    let r#type = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: name.to_owned(), r#type: Some(r#type), ..ValueInfoProto::default() }
}

/// Folders whose graph is not the default one.
fn graphs(folder: &Path) -> Outcome<()> {
    fs::create_dir_all(folder)?;
    let mut activated = toy();
    let mut quantised = toy();
    if let (Some(graph), Some(other)) = (&mut activated.graph, &mut quantised.graph) {
        graph.node.push(op("Softmax", &["logits"], "scores"));
        graph.output = vec![value("scores", &[0, 4])];
        other.node.push(op("DynamicQuantizeLinear", &["flat"], "quantised"));
        other.input = vec![value("pixels", &[1, 8, 8, 1])];
    }
    for (name, graph) in [("softmax", activated), ("dynamic", quantised)] {
        fs::write(folder.join(name), [b"=== model.onnx\n".as_slice(), &graph.encode_to_vec()].concat())?;
    }
    Ok(())
}

/// Frames as a child writes them: four bytes of length, then number, kind and content.
fn answers(folder: &Path) -> Outcome<()> {
    fs::create_dir_all(folder)?;
    let ready: &[u8] = &[0, 0, 1];
    let refused = b"\0\x01\x02no";
    let failed = b"\x07\x03\x05broke";
    let tagged = b"\x01\x02\x02\0\x01\x02\x01\x03cat\x07\0\0\0\x3f\x01\x01\0\0\x80\x3f\x01\x01\x02\xff\xd8\x01\x05\x02no\x04";
    let frame = |message: &[u8]| [&(message.len() as u32).to_le_bytes(), message].concat();
    let all = [ready, failed, tagged].map(frame).concat();
    fs::write(folder.join("refused"), frame(refused))?;
    fs::write(folder.join("session"), all)?;
    Ok(())
}
