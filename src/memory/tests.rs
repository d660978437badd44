use swallow_quant::GgmlType;

use super::*;
use crate::gguf::{Array, TensorInfo, Value};

mod architectures;

fn keys(values: &[(&str, u32)]) -> Vec<(String, Value)> {
    let named = values
        .iter()
        .map(|&(key, value)| (format!("llama.{key}"), Value::from(value)));
    std::iter::once(("general.architecture".to_owned(), Value::from("llama")))
        .chain(named)
        .collect()
}

fn tensor(name: &str, dims: &[u64], ty: GgmlType) -> TensorInfo {
    TensorInfo::new(name.to_owned(), dims.to_vec(), ty).unwrap()
}

/// Two layers of two heads and two experts.
fn small() -> (Vec<(String, Value)>, Vec<TensorInfo>) {
    let keys = keys(&[
        ("block_count", 2),
        ("context_length", 4096),
        ("embedding_length", 512),
        ("feed_forward_length", 1024),
        ("attention.head_count", 4),
        ("attention.head_count_kv", 2),
        ("expert_count", 2),
        ("expert_used_count", 2),
    ]);
    let mut tensors = vec![
        tensor("token_embd.weight", &[512, 1000], GgmlType::Q4_K),
        tensor("output.weight", &[512, 1000], GgmlType::Q6_K),
        tensor("output_norm.weight", &[512], GgmlType::F32),
    ];
    for layer in 0..2 {
        let name = |part: &str| format!("blk.{layer}.{part}.weight");
        tensors.push(tensor(&name("attn_q"), &[512, 512], GgmlType::Q4_K));
        tensors.push(tensor(&name("attn_norm"), &[512], GgmlType::F32));
        tensors.push(tensor(
            &name("ffn_up_exps"),
            &[512, 1024, 2],
            GgmlType::Q4_K,
        ));
    }
    (keys, tensors)
}

const Q: u64 = 512 * 512 / 256 * 144;
const EXPERTS: u64 = 2 * 512 * 1024 / 256 * 144;
const NORM: u64 = 2048;

#[test]
fn keys_and_values_are_counted_by_layer_and_type() {
    let (keys, tensors) = small();
    let shape = Shape::new(&keys, &tensors);
    let kv = |usage: Usage| demand(&shape, &usage).kv_cache;
    // 2 layers, 2 heads of 128 each for keys and values, 2 bytes.
    assert_eq!(kv(Usage::on_cpu(1024)), 2 * 2 * 256 * 2 * 1024);
    // Rounded up to 256 cells.
    assert_eq!(kv(Usage::on_cpu(1025)), 2 * 2 * 256 * 2 * 1280);
    let q8 = Usage {
        key_type: GgmlType::Q8_0,
        ..Usage::on_cpu(1024)
    };
    assert_eq!(kv(q8), 2 * 1024 * (256 / 32 * 34 + 256 * 2));

    let mut by_layer = keys.clone();
    by_layer.retain(|(key, _)| key != "llama.attention.head_count_kv");
    let heads = Value::Array(Array::U32(vec![4, 0]));
    by_layer.push(("llama.attention.head_count_kv".to_owned(), heads));
    let shape = Shape::new(&by_layer, &tensors);
    let bytes = demand(&shape, &Usage::on_cpu(256)).kv_cache;
    assert_eq!(bytes, 2 * 512 * 2 * 256);
}

#[test]
fn layers_go_to_a_device_from_the_last_one_and_experts_may_stay() {
    let (keys, tensors) = small();
    let shape = Shape::new(&keys, &tensors);
    let embedding = tensors[0].size();
    let output = tensors[1].size() + NORM;
    let layer = Q + NORM + EXPERTS;
    let on_devices = |gpu_layers, layers_on_host| {
        let usage = Usage {
            gpu_layers,
            placements: vec![Placement::experts_on_host(Some(layers_on_host)).unwrap()],
            ..Usage::on_cpu(256)
        };
        let demand = demand(&shape, &usage);
        assert_eq!(demand.weights, embedding + output + 2 * layer);
        demand.on_devices
    };
    assert_eq!(on_devices(0, 0), Part::default());
    assert_eq!(on_devices(1, 0).weights, output);
    assert_eq!(on_devices(2, 0).weights, output + layer);
    assert_eq!(on_devices(99, 0).weights, output + 2 * layer);
    assert_eq!(on_devices(99, 1).weights, output + 2 * layer - EXPERTS);
    assert_eq!(on_devices(99, 9).weights, output + 2 * (Q + NORM));
    let kv = 2 * 256 * 2 * 256;
    assert_eq!(on_devices(2, 9).kv_cache, kv);
    assert_eq!(on_devices(3, 0).kv_cache, 2 * kv);
}

#[test]
fn a_tied_embedding_is_copied_to_the_device() {
    let (keys, mut tensors) = small();
    tensors.remove(1);
    let shape = Shape::new(&keys, &tensors);
    let embedding = tensors[0].size();
    let whole = Usage {
        gpu_layers: 9,
        ..Usage::on_cpu(256)
    };
    let on_cpu = demand(&shape, &Usage::on_cpu(256));
    assert_eq!(demand(&shape, &whole).weights, on_cpu.weights + embedding);
}

#[test]
fn only_what_has_a_kernel_is_repacked() {
    let (keys, tensors) = small();
    let shape = Shape::new(&keys, &tensors);
    let repacked = |repack: Repacking| {
        let usage = Usage {
            repack,
            ..Usage::on_cpu(256)
        };
        demand(&shape, &usage).repacked
    };
    let avx2 = Repacking {
        avx2: true,
        ..Repacking::NONE
    };
    let neon = Repacking {
        neon_dotprod: true,
        ..Repacking::NONE
    };
    assert_eq!(repacked(Repacking::NONE), 0);
    // The embedding is looked up, and Q6_K has no kernel there.
    assert_eq!(repacked(avx2), 2 * (Q + EXPERTS));
    assert_eq!(repacked(neon), 2 * (Q + EXPERTS) + tensors[1].size());
}

#[test]
fn what_is_mapped_may_be_thrown_out_and_what_is_held_may_not() {
    let mapped = Demand {
        weights: 1000,
        kv_cache: 100,
        compute: 10,
        repacked: 0,
        on_devices: Part::default(),
        mapped: true,
    };
    let fit = |free, demand: Demand| {
        let machine = Machine {
            free,
            total: 2000,
            devices: Vec::new(),
        };
        machine.fit(&demand)
    };
    assert_eq!(fit(1110, mapped), Fit::Resident);
    assert_eq!(fit(1109, mapped), Fit::Paged);
    assert_eq!(fit(110, mapped), Fit::Paged);
    assert_eq!(fit(109, mapped), Fit::Refused);
    let repacked = Demand {
        repacked: 900,
        ..mapped
    };
    assert_eq!(fit(1110, repacked), Fit::Resident);
    assert_eq!(fit(1010, repacked), Fit::Paged);
    assert_eq!(fit(1009, repacked), Fit::Refused);
    let read = Demand {
        mapped: false,
        ..mapped
    };
    assert_eq!(fit(1110, read), Fit::Resident);
    assert_eq!(fit(1109, read), Fit::Refused);
}

#[test]
fn a_device_that_is_full_refuses_too() {
    let demand = Demand {
        weights: 1000,
        on_devices: Part {
            weights: 600,
            ..Part::default()
        },
        mapped: true,
        ..Demand::default()
    };
    let fit = |free, shared| {
        let device = DeviceMemory {
            name: "GPU0".to_owned(),
            free,
            total: 1000,
            shared,
        };
        let machine = Machine {
            free: 400,
            total: 1000,
            devices: vec![device],
        };
        machine.fit(&demand)
    };
    assert_eq!(fit(600, false), Fit::Resident);
    assert_eq!(fit(599, false), Fit::Refused);
    // What the device takes is the machine's own memory.
    assert_eq!(fit(600, true), Fit::Paged);
}

#[test]
fn a_header_of_absurd_numbers_is_only_large() {
    let mut keys = keys(&[("block_count", u32::MAX)]);
    for key in [
        "embedding_length",
        "attention.key_length",
        "ssm.inner_size",
        "context_length",
    ] {
        keys.push((format!("llama.{key}"), Value::U64(u64::MAX)));
    }
    keys.push((
        "llama.attention.head_count".to_owned(),
        Value::U64(u64::MAX),
    ));
    let shape = Shape::new(&keys, []);
    let usage = Usage {
        flash_attn: false,
        ..Usage::on_cpu(u32::MAX)
    };
    let demand = demand(&shape, &usage);
    assert_eq!(demand.kv_cache, u64::MAX);
    assert_eq!(Machine::default().fit(&demand), Fit::Refused);
}

/// What is advised where so much is free.
fn advice(usage: &Usage, free: u64) -> Option<String> {
    let (keys, tensors) = small();
    let shape = Shape::new(&keys, &tensors);
    let machine = Machine {
        free,
        total: free,
        devices: Vec::new(),
    };
    let shortage = Shortage::of(&shape, usage, &machine)?;
    for option in shortage.help.iter().flat_map(|help| help.split('`')) {
        assert!(option.is_empty() || option.starts_with('-'), "{option}");
    }
    Some(shortage.to_string())
}

#[test]
fn what_would_help_is_told_by_options_that_do() {
    let long = Usage::on_cpu(65_536);
    let kv = 128 << 20;
    assert_eq!(advice(&long, 2 * kv), None);
    let told = advice(&long, kv + (8 << 20)).unwrap();
    assert_eq!(
        told,
        "154.93 MB of memory are needed (134.22 MB of keys and values, 20.71 MB to compute in), \
         and 142.61 MB are free; `-c 32768`, `--kv-type q8_0` or `--ubatch 32` would do"
    );
    // No single step is enough.
    let few = Usage {
        key_type: GgmlType::F32,
        value_type: GgmlType::F32,
        ..Usage::on_cpu(256)
    };
    let told = advice(&few, 1_500_000).unwrap();
    assert!(
        told.ends_with("; `--kv-type q8_0 --ubatch 32` would do"),
        "{told}"
    );
    let told = advice(&few, 1000).unwrap();
    assert!(told.ends_with("1.00 kB are free"), "{told}");
}

#[test]
fn weights_that_are_copied_can_be_mapped() {
    let avx2 = Repacking {
        avx2: true,
        ..Repacking::NONE
    };
    let repacked = Usage {
        repack: avx2,
        ..Usage::on_cpu(256)
    };
    let free = 5_000_000;
    assert_eq!(advice(&Usage::on_cpu(256), free), None);
    let told = advice(&repacked, free).unwrap();
    assert!(told.contains(" MB of weights"), "{told}");
    assert!(told.contains("`--repack off`"), "{told}");
    let read = Usage {
        mmap: false,
        ..repacked
    };
    let told = advice(&read, free).unwrap();
    assert!(told.contains("`--mmap --repack off`"), "{told}");
    let told = advice(&read, 1000).unwrap();
    assert!(told.ends_with("; a smaller file type would help"), "{told}");
}

#[test]
fn repacking_is_for_machines_with_plenty() {
    let (keys, tensors) = small();
    let shape = Shape::new(&keys, &tensors);
    let with = |repack| Usage {
        repack,
        ..Usage::on_cpu(256)
    };
    let usage = with(Repacking {
        neon_dotprod: true,
        ..Repacking::NONE
    });
    let demand = demand(&shape, &usage);
    let all = demand.on_host().total() + demand.repacked;
    let pays = |usage: &Usage, free| {
        let machine = Machine {
            free,
            total: free,
            devices: Vec::new(),
        };
        repacking_pays(&shape, usage, &machine)
    };
    assert!(pays(&usage, all * 2));
    assert!(!pays(&usage, all));
    assert!(!pays(&Usage::on_cpu(256), all * 2), "nothing to repack");
    let avx2 = with(Repacking {
        avx2: true,
        ..Repacking::NONE
    });
    assert!(!pays(&avx2, all * 2), "Q4_K gets slower");
}

#[test]
fn as_many_layers_as_fit_and_no_more() {
    let (keys, tensors) = small();
    let shape = Shape::new(&keys, &tensors);
    let fit = |free| {
        let device = DeviceMemory {
            name: "GPU0".to_owned(),
            free,
            total: free,
            shared: false,
        };
        let machine = Machine {
            free: 0,
            total: 0,
            devices: vec![device],
        };
        layers_that_fit(&shape, &Usage::on_cpu(256), &machine)
    };
    let margin = 1 << 30;
    let on_device = |gpu_layers| {
        let usage = Usage {
            gpu_layers,
            ..Usage::on_cpu(256)
        };
        demand(&shape, &usage).on_devices.total()
    };
    assert_eq!(fit(0), 0);
    assert_eq!(fit(margin + on_device(2)), 2);
    assert_eq!(fit(margin + on_device(3) - 1), 2);
    assert_eq!(fit(margin + on_device(3)), 3);
}
