//! llama.cpp's gguf functions, as far as the tests need them.

use std::{
    ffi::{CStr, CString, c_char, c_void},
    path::Path,
    ptr,
};

use llama_cpp_sys_2 as sys;
use swallow_gguf::gguf::{Array, KeyValues, TensorInfo, Value};

/// A `gguf_context`, and what the tensors in it point to.
pub(super) struct Context {
    gguf: *mut sys::gguf_context,
    ggml: Vec<*mut sys::ggml_context>,
    data: Vec<Vec<u8>>,
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the contexts are ours, not null, and freed only here.
        unsafe {
            sys::gguf_free(self.gguf);
            self.ggml
                .iter()
                .for_each(|context| sys::ggml_free(*context));
        }
    }
}

fn c_string(s: impl Into<Vec<u8>>) -> CString {
    CString::new(s).unwrap()
}

/// The bytes of a C string.
///
/// # Safety
/// `s` points to a C string that outlives the call.
unsafe fn copied(s: *const c_char) -> Vec<u8> {
    // SAFETY: by the contract of this function.
    unsafe { CStr::from_ptr(s) }.to_bytes().to_vec()
}

impl Context {
    /// A new context without anything.
    pub(super) fn empty() -> Self {
        // SAFETY: has no precondition.
        let gguf = unsafe { sys::gguf_init_empty() };
        Self {
            gguf,
            ggml: Vec::new(),
            data: Vec::new(),
        }
    }

    /// The header of a file.
    pub(super) fn open(path: &Path) -> Self {
        let path = c_string(path.to_str().unwrap());
        let params = sys::gguf_init_params {
            no_alloc: true,
            ctx: ptr::null_mut(),
        };
        // SAFETY: the path is a C string; no ggml context is asked for.
        let gguf = unsafe { sys::gguf_init_from_file(path.as_ptr(), params) };
        assert!(!gguf.is_null(), "llama.cpp refuses the file");
        Self {
            gguf,
            ggml: Vec::new(),
            data: Vec::new(),
        }
    }

    /// Sets a key to a value.
    pub(super) fn set(&mut self, key: &str, value: &Value) {
        let (gguf, key) = (self.gguf, c_string(key));
        let key = key.as_ptr();
        // SAFETY: the context lives, keys and strings are C strings that are copied.
        unsafe {
            match value {
                Value::U8(v) => sys::gguf_set_val_u8(gguf, key, *v),
                Value::I8(v) => sys::gguf_set_val_i8(gguf, key, *v),
                Value::U16(v) => sys::gguf_set_val_u16(gguf, key, *v),
                Value::I16(v) => sys::gguf_set_val_i16(gguf, key, *v),
                Value::U32(v) => sys::gguf_set_val_u32(gguf, key, *v),
                Value::I32(v) => sys::gguf_set_val_i32(gguf, key, *v),
                Value::F32(v) => sys::gguf_set_val_f32(gguf, key, *v),
                Value::Bool(v) => sys::gguf_set_val_bool(gguf, key, *v),
                Value::String(v) => sys::gguf_set_val_str(gguf, key, c_string(&v[..]).as_ptr()),
                Value::U64(v) => sys::gguf_set_val_u64(gguf, key, *v),
                Value::I64(v) => sys::gguf_set_val_i64(gguf, key, *v),
                Value::F64(v) => sys::gguf_set_val_f64(gguf, key, *v),
                Value::Array(Array::String(v)) => {
                    let strings: Vec<_> = v.iter().map(|s| c_string(&s[..])).collect();
                    let mut pointers: Vec<_> = strings.iter().map(|s| s.as_ptr()).collect();
                    sys::gguf_set_arr_str(gguf, key, pointers.as_mut_ptr(), pointers.len());
                }
                Value::Array(array) => {
                    let (data, n) = elements(array);
                    sys::gguf_set_arr_data(
                        gguf,
                        key,
                        array.element_type() as sys::gguf_type,
                        data,
                        n,
                    );
                }
            }
        }
    }

    /// Adds a tensor whose data is `byte`, repeated.
    pub(super) fn add_tensor(&mut self, tensor: &TensorInfo, byte: u8) {
        let name = c_string(&*tensor.name);
        let ne: Vec<i64> = tensor.dims.iter().map(|dim| *dim as i64).collect();
        let data = vec![byte; tensor.size() as usize];
        let params = sys::ggml_init_params {
            mem_size: 4096,
            mem_buffer: ptr::null_mut(),
            no_alloc: true,
        };
        // SAFETY: the tensor lives in a context of its own until this one is dropped, and its
        // data, whose buffer does not move with its vector, does too.
        unsafe {
            let ggml = sys::ggml_init(params);
            let added = sys::ggml_new_tensor(
                ggml,
                tensor.ty as sys::ggml_type,
                ne.len() as i32,
                ne.as_ptr(),
            );
            sys::ggml_set_name(added, name.as_ptr());
            sys::gguf_add_tensor(self.gguf, added);
            sys::gguf_set_tensor_data(self.gguf, name.as_ptr(), data.as_ptr().cast());
            self.ggml.push(ggml);
        }
        self.data.push(data);
    }

    /// Writes the whole file.
    pub(super) fn write(&self, path: &Path) {
        let path = c_string(path.to_str().unwrap());
        // SAFETY: the context and the data of its tensors live.
        let written = unsafe { sys::gguf_write_to_file(self.gguf, path.as_ptr(), false) };
        assert!(written);
    }

    pub(super) fn version(&self) -> u32 {
        // SAFETY: the context lives.
        unsafe { sys::gguf_get_version(self.gguf) }
    }

    pub(super) fn alignment(&self) -> u64 {
        // SAFETY: the context lives.
        unsafe { sys::gguf_get_alignment(self.gguf) as u64 }
    }

    pub(super) fn data_offset(&self) -> u64 {
        // SAFETY: the context lives.
        unsafe { sys::gguf_get_data_offset(self.gguf) as u64 }
    }

    pub(super) fn key_values(&self) -> KeyValues {
        // SAFETY: the context lives, and every index is below its count.
        unsafe {
            (0..sys::gguf_get_n_kv(self.gguf))
                .map(|i| {
                    let key = copied(sys::gguf_get_key(self.gguf, i));
                    (String::from_utf8(key).unwrap(), self.value(i))
                })
                .collect()
        }
    }

    /// The value at an index.
    ///
    /// # Safety
    /// There are more key-values than `i`.
    unsafe fn value(&self, i: i64) -> Value {
        let g = self.gguf;
        // SAFETY: the index is in range, and each getter is called for its own type.
        unsafe {
            match sys::gguf_get_kv_type(g, i) {
                sys::GGUF_TYPE_UINT8 => Value::U8(sys::gguf_get_val_u8(g, i)),
                sys::GGUF_TYPE_INT8 => Value::I8(sys::gguf_get_val_i8(g, i)),
                sys::GGUF_TYPE_UINT16 => Value::U16(sys::gguf_get_val_u16(g, i)),
                sys::GGUF_TYPE_INT16 => Value::I16(sys::gguf_get_val_i16(g, i)),
                sys::GGUF_TYPE_UINT32 => Value::U32(sys::gguf_get_val_u32(g, i)),
                sys::GGUF_TYPE_INT32 => Value::I32(sys::gguf_get_val_i32(g, i)),
                sys::GGUF_TYPE_FLOAT32 => Value::F32(sys::gguf_get_val_f32(g, i)),
                sys::GGUF_TYPE_BOOL => Value::Bool(sys::gguf_get_val_bool(g, i)),
                sys::GGUF_TYPE_STRING => Value::String(copied(sys::gguf_get_val_str(g, i)).into()),
                sys::GGUF_TYPE_UINT64 => Value::U64(sys::gguf_get_val_u64(g, i)),
                sys::GGUF_TYPE_INT64 => Value::I64(sys::gguf_get_val_i64(g, i)),
                sys::GGUF_TYPE_FLOAT64 => Value::F64(sys::gguf_get_val_f64(g, i)),
                sys::GGUF_TYPE_ARRAY => Value::Array(self.array(i)),
                other => panic!("value type {other}"),
            }
        }
    }

    /// The array at an index.
    ///
    /// # Safety
    /// There is an array at `i`.
    unsafe fn array(&self, i: i64) -> Array {
        let g = self.gguf;
        // SAFETY: the data is `n` elements of the array's type, aligned as malloc does.
        unsafe {
            let n = sys::gguf_get_arr_n(g, i);
            if sys::gguf_get_arr_type(g, i) == sys::GGUF_TYPE_STRING {
                let string = |at| copied(sys::gguf_get_arr_str(g, i, at)).into();
                return Array::String((0..n).map(string).collect());
            }
            let data = sys::gguf_get_arr_data(g, i);
            match sys::gguf_get_arr_type(g, i) {
                sys::GGUF_TYPE_UINT8 => Array::U8(vector(data, n)),
                sys::GGUF_TYPE_INT8 => Array::I8(vector(data, n)),
                sys::GGUF_TYPE_UINT16 => Array::U16(vector(data, n)),
                sys::GGUF_TYPE_INT16 => Array::I16(vector(data, n)),
                sys::GGUF_TYPE_UINT32 => Array::U32(vector(data, n)),
                sys::GGUF_TYPE_INT32 => Array::I32(vector(data, n)),
                sys::GGUF_TYPE_FLOAT32 => Array::F32(vector(data, n)),
                sys::GGUF_TYPE_BOOL => Array::Bool(vector(data, n)),
                sys::GGUF_TYPE_UINT64 => Array::U64(vector(data, n)),
                sys::GGUF_TYPE_INT64 => Array::I64(vector(data, n)),
                sys::GGUF_TYPE_FLOAT64 => Array::F64(vector(data, n)),
                other => panic!("element type {other}"),
            }
        }
    }

    /// Name, ne, type, offset and size of each tensor.
    pub(super) fn tensors(&self) -> Vec<(String, [u64; 4], u32, u64, u64)> {
        let g = self.gguf;
        // SAFETY: the context lives, every index is below its count, and ne has four elements.
        unsafe {
            (0..sys::gguf_get_n_tensors(g))
                .map(|i| {
                    let name = String::from_utf8(copied(sys::gguf_get_tensor_name(g, i))).unwrap();
                    let ne = *sys::gguf_get_tensor_ne(g, i).cast::<[i64; 4]>();
                    let offset = sys::gguf_get_tensor_offset(g, i) as u64;
                    let size = sys::gguf_get_tensor_size(g, i) as u64;
                    (
                        name,
                        ne.map(|n| n as u64),
                        sys::gguf_get_tensor_type(g, i) as u32,
                        offset,
                        size,
                    )
                })
                .collect()
        }
    }
}

/// Where the elements of an array of numbers lie, and how many there are.
fn elements(array: &Array) -> (*const c_void, usize) {
    let data: *const c_void = match array {
        Array::U8(v) => v.as_ptr().cast(),
        Array::I8(v) => v.as_ptr().cast(),
        Array::U16(v) => v.as_ptr().cast(),
        Array::I16(v) => v.as_ptr().cast(),
        Array::U32(v) => v.as_ptr().cast(),
        Array::I32(v) => v.as_ptr().cast(),
        Array::F32(v) => v.as_ptr().cast(),
        Array::Bool(v) => v.as_ptr().cast(),
        Array::String(_) => panic!("strings have a setter of their own"),
        Array::U64(v) => v.as_ptr().cast(),
        Array::I64(v) => v.as_ptr().cast(),
        Array::F64(v) => v.as_ptr().cast(),
    };
    (data, array.len())
}

/// A copy of `n` elements.
///
/// # Safety
/// Where `n` is not 0, `data` points to `n` elements of this type.
unsafe fn vector<T: Copy>(data: *const c_void, n: usize) -> Vec<T> {
    if n == 0 {
        return Vec::new();
    }
    // SAFETY: by the contract of this function.
    unsafe { std::slice::from_raw_parts(data.cast(), n) }.to_vec()
}
