//! The tensors of a GGUF: each as it stands there.

use swallow_quant::GgmlType;

use super::{ModelTensor, Part, RowOrder, TensorData};
use crate::{gguf::TensorInfo, source::GgufModel};

/// Lists the tensors of a GGUF model, file by file.
pub fn of_gguf(model: &GgufModel) -> Vec<ModelTensor> {
    let of_file = |(shard, gguf): (usize, &crate::gguf::Gguf)| {
        let begin = gguf.data_offset;
        gguf.tensors
            .iter()
            .map(move |info| tensor(info, shard, begin))
            .collect::<Vec<_>>()
    };
    model.headers.iter().enumerate().flat_map(of_file).collect()
}

fn tensor(info: &TensorInfo, shard: usize, data_offset: u64) -> ModelTensor {
    let ty: GgmlType = info.ty;
    let part = Part {
        tensor: info.name.clone(),
        shape: info.dims.iter().rev().copied().collect(),
        ty,
        shard,
        offset: data_offset + info.offset,
        first_row: 0,
        rows: info.rows(),
        edit: None,
    };
    ModelTensor {
        name: info.name.clone(),
        dims: info.dims.clone(),
        stored: ty,
        data: TensorData::Rows {
            parts: vec![part],
            order: RowOrder::AsIs,
        },
    }
}
