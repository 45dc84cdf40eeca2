//! OpenVINO and the other engines: the same rows, its requested and granted precision, and when it is chosen.

use super::*;
use crate::engine::processor;

const OPENVINO: EngineOptions<'static> = EngineOptions {
    choice: EngineChoice::OpenVino,
    precision: Precision::Fp32,
    device: DeviceChoice::Cpu,
    onnxruntime: None,
    openvino: None,
};

/// OpenVINO for `model`, or `None` and a message if its library is absent.
fn resolved(model: &Model) -> Option<Resolved> {
    resolve(&OPENVINO, model).map_err(|error| eprintln!("SKIPPED: {error}")).ok()
}

fn openvino(model: &Model) -> Option<Loaded> {
    resolved(model).map(|resolved| Loaded::load(&resolved.record, model).unwrap())
}

#[test]
fn it_agrees_with_tract_on_scores_and_vectors() {
    let (_folder, model) = model(&Toy { embedding: true, ..Toy::default() });
    let Some(openvino) = openvino(&model) else { return };
    let (ours, by_tract) = (run(&openvino, 3), run(&tract(&model), 3));
    assert_eq!((ours.classes, ours.scores.len(), ours.vector_len), (4, 12, 3));
    assert!(largest_difference(&by_tract.scores, &ours.scores) < 1e-5);
    assert!(largest_difference(&by_tract.vector.unwrap(), &ours.vector.unwrap()) < 1e-5);
    assert_independent(&openvino);
}

#[test]
fn a_fixed_batch_is_padded() {
    let (_folder, model) = model(&Toy { input: vec![4, 3, 8, 8], ..Toy::default() });
    let Some(loaded) = openvino(&model) else { return };
    assert_eq!(loaded.session().unwrap().batch_size(), 4);
    assert_eq!(run(&loaded, 6).scores[..4], run(&loaded, 1).scores);
    assert_independent(&loaded);
}

#[test]
fn half_precision_is_fed_and_read() {
    let (_folder, model) = model(&Toy { element: DataType::Float16, embedding: true, ..Toy::default() });
    let Some(loaded) = openvino(&model) else { return };
    insta::assert_snapshot!(resolved(&model).unwrap().record.precision, @"fp32, widened from fp16");
    assert!(largest_difference(&run(&tract(&model), 2).scores, &run(&loaded, 2).scores) < 1e-2);
}

#[test]
fn it_quantises_dynamically_image_by_image() {
    let (_folder, model) = model(&Toy { dynamic: true, ..Toy::default() });
    let Some(loaded) = openvino(&model) else { return };
    assert_eq!(loaded.session().unwrap().batch_size(), 1);
    assert_independent(&loaded);
}

#[test]
fn a_model_without_scores_gives_its_vector_alone() {
    let folder = tempfile::tempdir().unwrap();
    Toy { hidden: true, ..Toy::default() }.write(folder.path(), "model.onnx");
    let options = ModelOptions { vector: Some("pixels_out"), ..ModelOptions::default() };
    let model = Model::open(folder.path(), &options).unwrap();
    let Some(loaded) = openvino(&model) else { return };
    let outputs = run(&loaded, 2);
    assert_eq!((outputs.classes, outputs.vector_len), (0, 192));
    assert_eq!(outputs.vector.unwrap(), images(&loaded, 2));
}

#[cfg(unix)]
#[test]
fn weights_behind_links_are_found() {
    let (_cache, model) = behind_links();
    let Some(loaded) = openvino(&model) else { return };
    assert!(largest_difference(&run(&tract(&model), 2).scores, &run(&loaded, 2).scores) < 1e-4);
}

#[test]
fn what_it_refuses_is_said_with_the_models_path() {
    let (folder, model) = model(&Toy { last: Some("NoSuchOperator"), ..Toy::default() });
    let Some(resolved) = resolved(&model) else { return };
    let error = Loaded::load(&resolved.record, &model).err().unwrap().to_string();
    assert!(error.starts_with(&format!("OpenVINO refuses {}", folder.path().display())), "{error}");
    assert!(error.contains("NoSuchOperator"), "{error}");
}

#[test]
fn names_that_would_end_early_in_c_are_refused() {
    let (_folder, mut model) = model(&Toy::default());
    let Some(resolved) = resolved(&model) else { return };
    model.spec.input.name = "pix\0els".to_owned();
    let error = Loaded::load(&resolved.record, &model).err().unwrap().to_string();
    assert!(error.ends_with("a name in it holds a NUL character"), "{error}");
}

#[test]
fn it_is_never_replaced_where_it_is_asked_for() {
    let (_folder, model) = model(&Toy::default());
    let missing = Some(Path::new("/no/such/libopenvino_c.so"));
    for choice in [EngineChoice::Auto, EngineChoice::OpenVino] {
        let options = EngineOptions { openvino: missing, ..EngineOptions::of(choice) };
        let error = resolve(&options, &model).unwrap_err().to_string();
        assert!(error.contains("/no/such/libopenvino_c.so"), "{error}");
    }
}

#[test]
fn only_openvino_computes_in_bf16_and_only_with_floats() {
    let (_folder, mut model) = model(&Toy::default());
    let bf16 = |choice| EngineOptions { precision: Precision::Bf16, ..EngineOptions::of(choice) };
    for choice in [EngineChoice::Tract, EngineChoice::OnnxRuntime] {
        let error = resolve(&bf16(choice), &model).unwrap_err().to_string();
        assert!(error.starts_with("only OpenVINO computes in bf16"), "{error}");
    }
    model.spec.quantization = Quantization::Qdq;
    insta::assert_snapshot!(resolve(&bf16(EngineChoice::Auto), &model).unwrap_err(), @"--precision bf16 is for models that compute with floats, but this one computes with 8-bit integers: leave it out");
}

#[test]
fn bf16_is_recorded_with_its_instruction_set_and_granted() {
    let (_folder, model) = model(&Toy::default());
    let Some(fp32) = resolved(&model) else { return };
    let resolved = resolve(&EngineOptions { precision: Precision::Bf16, ..OPENVINO }, &model);
    let Some(set) = processor::bf16_instruction_set() else {
        insta::assert_snapshot!(resolved.unwrap_err(), @"--precision bf16 needs a processor with AVX512_BF16 or AMX under Linux, and this one has neither: leave it out, or take another machine");
        return;
    };
    let record = resolved.unwrap().record;
    assert_eq!((record.precision.as_str(), record.instructions.as_deref()), ("bf16", Some(set)));
    let stored = EngineRecord::try_from(&StoredRecord::from(&record)).unwrap();
    let (by_bf16, by_fp32) =
        (Loaded::load(&stored, &model).unwrap(), Loaded::load(&fp32.record, &model).unwrap());
    let difference = largest_difference(&run(&by_bf16, 3).scores, &run(&by_fp32, 3).scores);
    assert!(difference < 0.05, "{difference}");
    let elsewhere = EngineRecord { instructions: Some("amx_other".to_owned()), ..record };
    let error = Loaded::load(&elsewhere, &model).err().unwrap().to_string();
    assert!(error.contains("(bf16, amx_other)") && error.contains(set), "{error}");
}

#[test]
fn the_table_takes_it_for_qdq_models_only() {
    let (_folder, mut model) = model(&Toy::default());
    let fastest = processor::int8_instruction_set() == processor::VNNI && resolved(&model).is_some();
    let kinds = [Quantization::None, Quantization::Static, Quantization::Qdq, Quantization::Dynamic];
    for quantization in kinds {
        model.spec.quantization = quantization;
        let resolved = resolve(&EngineOptions::default(), &model).unwrap();
        let taken = resolved.record.name == EngineName::OpenVino;
        assert_eq!(taken, fastest && quantization == Quantization::Qdq, "{quantization:?}: {}", resolved.why);
    }
}

#[test]
fn it_agrees_with_onnx_runtime_in_every_score_of_real_fp32_models() {
    for name in ["tinycnn_external_data", "pcb_64x64", "mnist_1channel"] {
        let Some(model) = real(name) else { return };
        let (Some(openvino), Some(onnxruntime)) = (openvino(&model), onnxruntime(&model)) else { return };
        let difference = largest_difference(&run(&openvino, 4).scores, &run(&onnxruntime, 4).scores);
        assert!(difference < 1e-4, "{name}: {difference}");
        assert_independent(&openvino);
    }
}

#[test]
fn real_quantised_and_half_models_run() {
    for name in ["mobilenetv2_int8", "mobilenetv2_int8_qdq_batch1", "squeezenet_fp16_bgr"] {
        let Some(model) = real(name) else { return };
        let Some(loaded) = openvino(&model) else { return };
        assert_independent(&loaded);
        assert_eq!(run(&loaded, 1).classes, 1000, "{name}");
    }
}

#[test]
fn bf16_is_near_fp32_and_not_the_same() {
    let Some(model) = real("squeezenet_fp16_bgr") else { return };
    let Some(fp32) = openvino(&model) else { return };
    let resolved = match resolve(&EngineOptions { precision: Precision::Bf16, ..OPENVINO }, &model) {
        Ok(resolved) => resolved,
        Err(error) => return eprintln!("SKIPPED: {error}"),
    };
    let bf16 = Loaded::load(&resolved.record, &model).unwrap();
    let (ours, theirs) = (run(&bf16, 2).scores, run(&fp32, 2).scores);
    let (difference, largest) =
        (largest_difference(&ours, &theirs), largest_difference(&theirs, &[0.0; 2000]));
    eprintln!("bf16 differs from fp32 by {difference} at most, where scores reach {largest}");
    assert!(difference > 0.0 && difference < largest / 20.0);
    assert_independent(&bf16);
}

#[test]
fn sessions_of_several_threads_give_the_same_bits() {
    let (_folder, model) = model(&Toy::default());
    let Some(loaded) = openvino(&model) else { return };
    let alone = run(&loaded, 5);
    std::thread::scope(|scope| {
        let both = [scope.spawn(|| run(&loaded, 5)), scope.spawn(|| run(&loaded, 5))];
        for thread in both {
            assert_eq!(thread.join().unwrap(), alone);
        }
    });
}
