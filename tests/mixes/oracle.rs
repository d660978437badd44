//! llama.cpp's own choice of types, asked in process: no file, no weights.
//!
//! The functions are those of its `llama-ext.h`, which llama.cpp's own test of types calls. They are
//! C++ with the arguments of C, so they are called by their mangled names, which are the same wherever
//! compilers follow the Itanium ABI and pointers have 64 bits.

use std::{
    ffi::{CStr, CString, c_char, c_int, c_void},
    ptr::null_mut,
};

use llama_cpp_sys_2::{
    ggml_free, ggml_init, ggml_init_params, ggml_new_tensor, ggml_set_name, ggml_tensor,
    ggml_tensor_overhead, llama_ftype, llama_model, llama_model_free,
    llama_model_quantize_default_params, llama_model_quantize_params,
};
use swallow_gguf::file_type::FileType;
use swallow_quant::GgmlType;

use super::{Tensor, TestModel};
use crate::support::silent_llama;

/// `llama_quant_model_desc`.
#[repr(C)]
struct Description {
    architecture: *const c_char,
    n_embd: u32,
    n_ff: u32,
    n_layer: u32,
    n_head: u32,
    n_head_kv: u32,
    n_expert: u32,
    n_embd_head_k: u32,
    n_embd_head_v: u32,
}

unsafe extern "C" {
    #[link_name = "_Z13llm_arch_name8llm_arch"]
    fn llm_arch_name(arch: c_int) -> *const c_char;
    #[link_name = "_Z31llama_quant_model_from_metadataPK22llama_quant_model_desc"]
    fn llama_quant_model_from_metadata(desc: *const Description) -> *mut llama_model;
    #[link_name = "_Z16llama_quant_initPK11llama_modelPK27llama_model_quantize_params"]
    fn llama_quant_init(
        model: *const llama_model,
        params: *const llama_model_quantize_params,
    ) -> *mut c_void;
    #[link_name = "_Z16llama_quant_freeP19quantize_state_impl"]
    fn llama_quant_free(state: *mut c_void);
    #[link_name = "_Z25llama_quant_compute_typesP19quantize_state_impl11llama_ftypePP11ggml_tensorP9ggml_typem"]
    fn llama_quant_compute_types(
        state: *mut c_void,
        ftype: llama_ftype,
        tensors: *mut *mut ggml_tensor,
        result_types: *mut u32,
        n_tensors: usize,
    );
}

/// The names of all architectures that llama.cpp has, in its order.
pub(super) fn architectures() -> Vec<String> {
    // SAFETY: any number may be asked for; the names are constants of the program.
    let name = |number| unsafe { CStr::from_ptr(llm_arch_name(number)) };
    let names = (0..).map(|number| name(number).to_str().unwrap().to_owned());
    names.take_while(|name| !name.contains("unknown")).collect()
}

/// The types that llama.cpp gives to the tensors of a model, for each of the file types.
pub(super) fn types(
    model: &TestModel<'_>,
    tensors: &[Tensor],
    file_types: &[FileType],
) -> Vec<Vec<GgmlType>> {
    silent_llama();
    let architecture = CString::new(model.architecture).unwrap();
    let description = Description {
        architecture: architecture.as_ptr(),
        n_embd: 256,
        n_ff: 256,
        n_layer: model.n_layer,
        n_head: model.n_head,
        n_head_kv: model.n_head_kv,
        n_expert: model.n_expert,
        n_embd_head_k: 32,
        n_embd_head_v: 32,
    };
    // SAFETY: the description and its string outlive the call. What is made here is used before it is
    // freed, and freed once; the lists have as many elements as the calls are told. Tensors have names,
    // types and dimensions, which is all that is read of them.
    unsafe {
        let context = ggml_init(ggml_init_params {
            mem_size: (tensors.len() + 1) * ggml_tensor_overhead(),
            mem_buffer: null_mut(),
            no_alloc: true,
        });
        let mut pointers: Vec<*mut ggml_tensor> = tensors
            .iter()
            .map(|tensor| {
                let dims: Vec<i64> = tensor.dims.iter().map(|dim| *dim as i64).collect();
                let (ty, n) = (super::STORED as u32, dims.len() as c_int);
                let pointer = ggml_new_tensor(context, ty as _, n, dims.as_ptr());
                let name = CString::new(tensor.name.as_str()).unwrap();
                ggml_set_name(pointer, name.as_ptr())
            })
            .collect();
        let model = llama_quant_model_from_metadata(&description);
        let params = llama_model_quantize_default_params();
        let state = llama_quant_init(model, &params);
        let of_file_type = file_types.iter().map(|file_type| {
            let mut types = vec![0u32; tensors.len()];
            let (ftype, n) = (file_type.id() as llama_ftype, tensors.len());
            llama_quant_compute_types(state, ftype, pointers.as_mut_ptr(), types.as_mut_ptr(), n);
            let known = types.iter().map(|ty| GgmlType::from_id(*ty).unwrap());
            known.collect()
        });
        let types = of_file_type.collect();
        llama_quant_free(state);
        llama_model_free(model);
        ggml_free(context);
        types
    }
}
