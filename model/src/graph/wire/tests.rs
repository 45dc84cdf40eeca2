//! Files that no exporter writes: refused, or read alike by every parser of the written bytes.

use proptest::prelude::*;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{ModelProto, NodeProto, StringStringEntryProto};

use super::*;
use crate::testing::Toy;

fn message(number: u64, body: &[u8]) -> Vec<u8> {
    let head = varint(number << 3 | LENGTH).chain(varint(body.len() as u64));
    head.chain(body.iter().copied()).collect()
}

fn number(field: u64, value: u64) -> Vec<u8> {
    varint(field << 3 | VARINT).chain(varint(value)).collect()
}

/// A model whose graph is `body`.
fn model(body: &[u8]) -> Vec<u8> {
    message(7, body)
}

fn tensor(body: &[u8]) -> Vec<u8> {
    model(&message(u64::from(INITIALIZER), body))
}

fn anew(file: &[u8]) -> Result<Vec<u8>, Refusal> {
    Ok(reencoded(file)?.graph)
}

fn why(file: &[u8]) -> String {
    match reencoded(file) {
        Ok(_) => panic!("it is taken"),
        Err(Refusal::Broken(why)) => format!("broken: {why}"),
        Err(Refusal::Refused(why)) => format!("refused: {why}"),
        Err(Refusal::Weights(error)) => error.to_string(),
    }
}

#[test]
fn what_comes_twice_is_refused_wherever_it_stands() {
    // What the review did: protobuf's reader for C++ keeps the 1, prost the 7.
    let twice = [number(14, 1), number(14, 7)].concat();
    insta::assert_snapshot!(why(&tensor(&twice)), @"refused: states the data_location of a TensorProto twice");
    insta::assert_snapshot!(why(&tensor(&number(14, 7))), @"refused: has 7 for the data_location of a TensorProto");
    let twice = [number(14, 1), number(14, 0)].concat();
    insta::assert_snapshot!(why(&tensor(&twice)), @"refused: states the data_location of a TensorProto twice");
    insta::assert_snapshot!(why(&[model(&[]), model(&[])].concat()), @"refused: states the graph of a ModelProto twice");
    let constant = message(1, &message(5, &message(5, &[number(2, 1), number(2, 2)].concat())));
    insta::assert_snapshot!(why(&model(&constant)), @"refused: states the data_type of a TensorProto twice");
    let function = message(25, &message(7, &[message(4, b"Relu"), message(4, b"Add")].concat()));
    insta::assert_snapshot!(why(&function), @"refused: states the op_type of a NodeProto twice");
    // One of several that exclude each other: the last would count, or both.
    let dimension = message(1, &[number(1, 3), message(2, b"n")].concat());
    let port = message(11, &message(2, &message(1, &message(2, &dimension))));
    insta::assert_snapshot!(why(&model(&port)), @"refused: states the dim_param of a TensorShapeProto.Dimension twice");
}

#[test]
fn every_field_that_may_come_once_is_refused_twice() {
    let mut known = vec![&schema::MODEL];
    let mut index = 0;
    while index < known.len() {
        for field in known[index].fields {
            if let Holds::Message(kind) = field.holds
                && !known.iter().any(|known| std::ptr::eq(*known, kind))
            {
                known.push(kind);
            }
        }
        index += 1;
    }
    assert!(known.len() > 15);
    for kind in known {
        for field in kind.fields {
            let refusal = with(1 << field.number, kind, field);
            assert_eq!(refusal.is_err(), field.times != Times::Many, "{} of {}", field.name, kind.name);
            assert!(field.number < 32 && std::ptr::eq(kind.field(u64::from(field.number)).unwrap(), field));
        }
    }
}

#[test]
fn numbers_and_lengths_have_one_spelling() {
    let short = tensor(&number(2, 1));
    // 129 0 is a longer way to write 1, and so on: of a number, of a length and of a field.
    let body = [16, 129, 0];
    let long = [[58, 128 + 8, 0].as_slice(), &[42 + 128, 0, 128 + 3, 128, 0], &body].concat();
    assert_eq!(ModelProto::decode(long.as_slice()).unwrap().graph.unwrap().initializer[0].data_type, 1);
    assert_eq!(anew(&long).unwrap(), short);
}

#[test]
fn what_is_no_message_is_broken() {
    insta::assert_snapshot!(why(&[255; 64]), @"broken: a number in it is cut off or too large");
    insta::assert_snapshot!(why(&[58, 5, 0]), @"broken: a value in it is cut off");
    insta::assert_snapshot!(why(&[0, 0]), @"broken: a field in it has no number that there is");
    insta::assert_snapshot!(why(&number(7, 1)), @"broken: the graph of a ModelProto is stored as something else");
    insta::assert_snapshot!(why(&[251, 1]), @"broken: it has groups, which ONNX has not");
    insta::assert_snapshot!(why(&tensor(&message(4, &[0; 3]))), @"broken: numbers in it are cut off");
    let nested = (0..DEEPEST / 3).fold(Vec::new(), |graph, _| message(1, &message(5, &message(6, &graph))));
    assert!(anew(&model(&nested)).is_ok());
    let nested = message(1, &message(5, &message(6, &nested)));
    insta::assert_snapshot!(why(&model(&nested)), @"broken: its messages are nested more than 100 deep");
}

#[test]
fn empty_nodes_and_other_small_things_end_before_memory_does() {
    let nodes = [10, 0].repeat(MOST_NODES as usize);
    let written = anew(&model(&nodes)).unwrap();
    assert_eq!(
        ModelProto::decode(written.as_slice()).unwrap().graph.unwrap().node.len(),
        MOST_NODES as usize
    );
    insta::assert_snapshot!(why(&model(&[10, 0].repeat(MOST_NODES as usize + 1))), @"refused: has more than 1000000 nodes");
    // Ten million of anything else in 20 MB: what is written before it is refused is less than the file.
    for field in [5, 11, 13, 14, 15] {
        let many: Vec<u8> = [(field << 3 | 2) as u8, 0].repeat(10_000_000);
        let error = why(&model(&many));
        assert_eq!(error, "refused: takes more than 512 MiB in addition to its weights", "{field}");
    }
    let attributes = message(1, &[42, 0].repeat(5_000_000));
    assert_eq!(why(&model(&attributes)), "refused: takes more than 512 MiB in addition to its weights");
    let dims = tensor(&message(1, &[0; 100_000_000]));
    assert_eq!(why(&dims), "refused: takes more than 512 MiB in addition to its weights");
}

#[test]
fn what_no_engine_reads_is_left_out_and_all_else_stays() {
    let toy = Toy::default().proto().encode_to_vec();
    assert_eq!(anew(&toy).unwrap(), toy, "what exporters write is the same, byte by byte");
    let training = message(20, &message(2, &message(5, b"no message at all")));
    let unknown = [number(500, 7), message(501, b"text")].concat();
    assert_eq!(anew(&[toy.as_slice(), &training, &unknown].concat()).unwrap(), toy);
    // A default of a function's attribute, which the messages of tract do not have.
    let function = message(25, &message(11, &[message(1, b"alpha"), number(20, 1)].concat()));
    assert_eq!(anew(&function).unwrap(), function);
}

#[test]
fn weights_come_in_their_place_and_lengths_follow() {
    let file = Toy { external: Some("weights.bin"), ..Toy::default() }.proto().encode_to_vec();
    assert!(!reencoded(&file).unwrap().is_whole);
    let mut places = Vec::new();
    let whole = with_weights(&file, &mut |tensor, stands| {
        places.push((tensor.name.clone(), stands));
        let raw_data = vec![7; 300_000];
        Ok(Some(TensorProto { name: tensor.name.clone(), raw_data, ..TensorProto::default() }))
    });
    let whole = whole.unwrap();
    assert!(reencoded(&whole).unwrap().is_whole);
    let graph = ModelProto::decode(whole.as_slice()).unwrap().graph.unwrap();
    assert_eq!(places, [("weights".to_owned(), Stands::InGraph)]);
    assert_eq!(graph.initializer[0].raw_data, [7; 300_000]);
    assert_eq!(graph.output.len(), 1);
}

/// Some changes to the bytes of a model, among them fields that come twice and numbers that are out of range.
fn changed() -> impl Strategy<Value = Vec<u8>> {
    let place = any::<prop::sample::Index>;
    let field = (
        place(),
        prop::sample::select(vec![[112, 1], [112, 7], [112, 0], [16, 1], [10, 0], [42, 0], [58, 0]]),
    );
    let external = prop::option::of(Just("weights.bin"));
    (external, prop::collection::vec(field, 0..3), prop::collection::vec((place(), any::<u8>()), 0..4))
        .prop_map(|(external, fields, flips)| {
            let mut proto = Toy { external, ..Toy::default() }.proto();
            for (place, bytes) in &fields {
                insert(&mut proto, *place, *bytes);
            }
            let mut file = proto.encode_to_vec();
            for (place, byte) in flips {
                let at = place.index(file.len());
                file[at] = byte;
            }
            file
        })
}

/// Puts `bytes` behind a tensor, as a field of its own that protobuf merges: the length of the tensor
/// follows.
fn insert(proto: &mut ModelProto, place: prop::sample::Index, bytes: [u8; 2]) {
    let graph = proto.graph.as_mut().unwrap();
    let at = place.index(graph.initializer.len());
    let entry = StringStringEntryProto { key: "location".to_owned(), value: "w".to_owned() };
    match bytes {
        [112, place] => graph.initializer[at].data_location = Some(i32::from(place)),
        [16, _] => graph.initializer[at].data_type = DataType::Float16 as i32,
        [10, _] => graph.node.push(NodeProto::default()),
        [42, _] => graph.initializer.push(TensorProto::default()),
        _ => graph.initializer[at].external_data.push(entry),
    }
}

fn externals(proto: &ModelProto) -> Vec<TensorProto> {
    let graph = proto.graph.clone().unwrap_or_default();
    graph.initializer.into_iter().filter(external::is_external).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// The law: what is written is read as the file was, names the same files, and stays as it is.
    #[test]
    fn what_is_written_is_read_as_the_file_was(file in changed()) {
        let Ok(Written { graph: written, .. }) = reencoded(&file) else { return Ok(()) };
        prop_assert_eq!(&anew(&written).unwrap(), &written);
        prop_assert!(written.len() <= file.len());
        match (ModelProto::decode(file.as_slice()), ModelProto::decode(written.as_slice())) {
            (Ok(mut before), Ok(after)) => {
                before.training_info.clear();
                prop_assert_eq!(externals(&after), externals(&before));
                prop_assert_eq!(after, before);
            }
            (before, after) => prop_assert_eq!(before.is_err(), after.is_err()),
        }
    }
}
