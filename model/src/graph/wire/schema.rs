//! ONNX's messages: which fields they have, what those hold, and which may come more than once.
//!
//! After onnx.proto of ONNX 1.23, less what no engine here reads: graphs for training, and how a model is
//! spread over several devices. Fields that are not listed are left out of what engines get.

use std::mem::size_of;

use tract_onnx::pb;

/// One kind of message.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) name: &'static str,
    pub(super) fields: &'static [Field],
    /// Bytes that it takes once it is decoded, without what its fields hold.
    pub(super) memory: usize,
}

/// A field of a message.
#[derive(Debug)]
pub(super) struct Field {
    /// 1 to 31.
    pub(super) number: u32,
    pub(super) name: &'static str,
    pub(super) holds: Holds,
    pub(super) times: Times,
}

/// How often a field may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Times {
    Once,
    /// Once, and then no other of these may come.
    OneOf,
    Many,
}

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Holds {
    /// Any integer.
    Integer,
    /// A number of 0 to this.
    Enum(u64),
    Bits32,
    Bits64,
    /// Text or bytes.
    Bytes,
    Message(&'static Message),
}

impl Message {
    pub(super) fn field(&self, number: u64) -> Option<&'static Field> {
        self.fields.iter().find(|field| u64::from(field.number) == number)
    }
}

const fn once(number: u32, name: &'static str, holds: Holds) -> Field {
    Field { number, name, holds, times: Times::Once }
}

const fn one_of(number: u32, name: &'static str, holds: Holds) -> Field {
    Field { number, name, holds, times: Times::OneOf }
}

const fn many(number: u32, name: &'static str, holds: Holds) -> Field {
    Field { number, name, holds, times: Times::Many }
}

const TEXT: Holds = Holds::Bytes;

pub(super) static MODEL: Message = Message {
    name: "ModelProto",
    memory: size_of::<pb::ModelProto>(),
    fields: &[
        once(1, "ir_version", Holds::Integer),
        once(2, "producer_name", TEXT),
        once(3, "producer_version", TEXT),
        once(4, "domain", TEXT),
        once(5, "model_version", Holds::Integer),
        once(6, "doc_string", TEXT),
        once(7, "graph", Holds::Message(&GRAPH)),
        many(8, "opset_import", Holds::Message(&OPERATOR_SET)),
        many(14, "metadata_props", Holds::Message(&ENTRY)),
        many(25, "functions", Holds::Message(&FUNCTION)),
    ],
};

pub(super) static GRAPH: Message = Message {
    name: "GraphProto",
    memory: size_of::<pb::GraphProto>(),
    fields: &[
        many(1, "node", Holds::Message(&NODE)),
        once(2, "name", TEXT),
        many(INITIALIZER, "initializer", Holds::Message(&TENSOR)),
        once(10, "doc_string", TEXT),
        many(11, "input", Holds::Message(&VALUE)),
        many(12, "output", Holds::Message(&VALUE)),
        many(13, "value_info", Holds::Message(&VALUE)),
        many(14, "quantization_annotation", Holds::Message(&ANNOTATION)),
        many(15, "sparse_initializer", Holds::Message(&SPARSE)),
        many(16, "metadata_props", Holds::Message(&ENTRY)),
    ],
};

/// The field of a graph that holds its weights.
pub(super) const INITIALIZER: u32 = 5;

pub(super) static NODE: Message = Message {
    name: "NodeProto",
    memory: size_of::<pb::NodeProto>(),
    fields: &[
        many(1, "input", TEXT),
        many(2, "output", TEXT),
        once(3, "name", TEXT),
        once(4, "op_type", TEXT),
        many(5, "attribute", Holds::Message(&ATTRIBUTE)),
        once(6, "doc_string", TEXT),
        once(7, "domain", TEXT),
        once(8, "overload", TEXT),
        many(9, "metadata_props", Holds::Message(&ENTRY)),
    ],
};

/// The highest number of an attribute's type, that of several types.
const ATTRIBUTE_TYPES: u64 = 14;

static ATTRIBUTE: Message = Message {
    name: "AttributeProto",
    memory: size_of::<pb::AttributeProto>(),
    fields: &[
        once(1, "name", TEXT),
        once(2, "f", Holds::Bits32),
        once(3, "i", Holds::Integer),
        once(4, "s", Holds::Bytes),
        once(5, "t", Holds::Message(&TENSOR)),
        once(6, "g", Holds::Message(&GRAPH)),
        many(7, "floats", Holds::Bits32),
        many(8, "ints", Holds::Integer),
        many(9, "strings", Holds::Bytes),
        many(10, "tensors", Holds::Message(&TENSOR)),
        many(11, "graphs", Holds::Message(&GRAPH)),
        once(13, "doc_string", TEXT),
        once(14, "tp", Holds::Message(&TYPE)),
        many(15, "type_protos", Holds::Message(&TYPE)),
        once(20, "type", Holds::Enum(ATTRIBUTE_TYPES)),
        once(21, "ref_attr_name", TEXT),
        once(22, "sparse_tensor", Holds::Message(&SPARSE)),
        many(23, "sparse_tensors", Holds::Message(&SPARSE)),
    ],
};

static FUNCTION: Message = Message {
    name: "FunctionProto",
    memory: size_of::<pb::FunctionProto>(),
    fields: &[
        once(1, "name", TEXT),
        many(4, "input", TEXT),
        many(5, "output", TEXT),
        many(6, "attribute", TEXT),
        many(7, "node", Holds::Message(&NODE)),
        once(8, "doc_string", TEXT),
        many(9, "opset_import", Holds::Message(&OPERATOR_SET)),
        once(10, "domain", TEXT),
        many(11, "attribute_proto", Holds::Message(&ATTRIBUTE)),
        many(12, "value_info", Holds::Message(&VALUE)),
        once(13, "overload", TEXT),
        many(14, "metadata_props", Holds::Message(&ENTRY)),
    ],
};

/// The field of a tensor that states whether its values are in another file, and its highest valid number.
pub(super) const DATA_LOCATION: u32 = 14;
const DATA_LOCATIONS: u64 = 1;
/// The field of a tensor that names that file.
pub(super) const EXTERNAL_DATA: u32 = 13;

pub(super) static TENSOR: Message = Message {
    name: "TensorProto",
    memory: size_of::<pb::TensorProto>(),
    fields: &[
        many(1, "dims", Holds::Integer),
        once(2, "data_type", Holds::Integer),
        once(3, "segment", Holds::Message(&SEGMENT)),
        many(4, "float_data", Holds::Bits32),
        many(5, "int32_data", Holds::Integer),
        many(6, "string_data", Holds::Bytes),
        many(7, "int64_data", Holds::Integer),
        once(8, "name", TEXT),
        once(9, "raw_data", Holds::Bytes),
        many(10, "double_data", Holds::Bits64),
        many(11, "uint64_data", Holds::Integer),
        once(12, "doc_string", TEXT),
        many(EXTERNAL_DATA, "external_data", Holds::Message(&ENTRY)),
        once(DATA_LOCATION, "data_location", Holds::Enum(DATA_LOCATIONS)),
        many(16, "metadata_props", Holds::Message(&ENTRY)),
    ],
};

static SEGMENT: Message = Message {
    name: "TensorProto.Segment",
    memory: size_of::<pb::tensor_proto::Segment>(),
    fields: &[once(1, "begin", Holds::Integer), once(2, "end", Holds::Integer)],
};

static SPARSE: Message = Message {
    name: "SparseTensorProto",
    memory: size_of::<pb::SparseTensorProto>(),
    fields: &[
        once(1, "values", Holds::Message(&TENSOR)),
        once(2, "indices", Holds::Message(&TENSOR)),
        many(3, "dims", Holds::Integer),
    ],
};

static VALUE: Message = Message {
    name: "ValueInfoProto",
    memory: size_of::<pb::ValueInfoProto>(),
    fields: &[
        once(1, "name", TEXT),
        once(2, "type", Holds::Message(&TYPE)),
        once(3, "doc_string", TEXT),
        many(4, "metadata_props", Holds::Message(&ENTRY)),
    ],
};

static ENTRY: Message = Message {
    name: "StringStringEntryProto",
    memory: size_of::<pb::StringStringEntryProto>(),
    fields: &[once(1, "key", TEXT), once(2, "value", TEXT)],
};

static ANNOTATION: Message = Message {
    name: "TensorAnnotation",
    memory: size_of::<pb::TensorAnnotation>(),
    fields: &[once(1, "tensor_name", TEXT), many(2, "quant_parameter_tensor_names", Holds::Message(&ENTRY))],
};

static OPERATOR_SET: Message = Message {
    name: "OperatorSetIdProto",
    memory: size_of::<pb::OperatorSetIdProto>(),
    fields: &[once(1, "domain", TEXT), once(2, "version", Holds::Integer)],
};

static TYPE: Message = Message {
    name: "TypeProto",
    memory: size_of::<pb::TypeProto>(),
    fields: &[
        one_of(1, "tensor_type", Holds::Message(&TENSOR_TYPE)),
        one_of(4, "sequence_type", Holds::Message(&INNER_TYPE)),
        one_of(5, "map_type", Holds::Message(&MAP_TYPE)),
        once(6, "denotation", TEXT),
        one_of(7, "opaque_type", Holds::Message(&OPAQUE_TYPE)),
        one_of(8, "sparse_tensor_type", Holds::Message(&TENSOR_TYPE)),
        one_of(9, "optional_type", Holds::Message(&INNER_TYPE)),
    ],
};

static TENSOR_TYPE: Message = Message {
    name: "TypeProto.Tensor",
    memory: size_of::<pb::type_proto::Tensor>(),
    fields: &[once(1, "elem_type", Holds::Integer), once(2, "shape", Holds::Message(&SHAPE))],
};

static INNER_TYPE: Message = Message {
    name: "TypeProto.Sequence",
    memory: size_of::<pb::TypeProto>(),
    fields: &[once(1, "elem_type", Holds::Message(&TYPE))],
};

static MAP_TYPE: Message = Message {
    name: "TypeProto.Map",
    memory: size_of::<pb::TypeProto>(),
    fields: &[once(1, "key_type", Holds::Integer), once(2, "value_type", Holds::Message(&TYPE))],
};

static OPAQUE_TYPE: Message = Message {
    name: "TypeProto.Opaque",
    memory: size_of::<pb::TypeProto>(),
    fields: &[once(1, "domain", TEXT), once(2, "name", TEXT)],
};

static SHAPE: Message = Message {
    name: "TensorShapeProto",
    memory: size_of::<pb::TensorShapeProto>(),
    fields: &[many(1, "dim", Holds::Message(&DIMENSION))],
};

static DIMENSION: Message = Message {
    name: "TensorShapeProto.Dimension",
    memory: size_of::<pb::tensor_shape_proto::Dimension>(),
    fields: &[
        one_of(1, "dim_value", Holds::Integer),
        one_of(2, "dim_param", TEXT),
        once(3, "denotation", TEXT),
    ],
};
