//! Whether a matrix is that of a model.

use super::*;

fn matrix(entries: &[(&str, &[f32])]) -> Imatrix {
    let entry = |(tensor, values): &(&str, &[f32])| (format!("{tensor}.weight"), values.to_vec());
    Imatrix {
        file: "m.gguf".into(),
        datasets: Vec::new(),
        chunk_count: 1,
        entries: entries.iter().map(entry).collect(),
    }
}

#[test]
fn an_entry_has_a_value_for_each_column_of_each_expert() {
    let values = [0.5, 0.0, 1.0, 1.0, 1.0, 2.0];
    let matrix = matrix(&[("a", &values)]);
    let fit = |dims: &[u64]| matrix.fit("a.weight", dims);
    let fits = |unseen: &[usize]| Fit::Fits {
        importance: &values,
        unseen: unseen.to_vec(),
    };
    for (dims, expected) in [
        (&[6][..], fits(&[])),
        (&[6, 9], fits(&[])),
        (&[2, 9, 3], fits(&[1])),
        (&[1, 9, 6], fits(&[2, 3, 4])),
        (&[6, 9, 1, 2], fits(&[])),
        (
            &[3, 9, 3],
            Fit::WrongLength {
                expected: 9,
                found: 6,
            },
        ),
        (
            &[3, 9],
            Fit::WrongLength {
                expected: 3,
                found: 6,
            },
        ),
        (
            &[0, 9, 3],
            Fit::WrongLength {
                expected: 0,
                found: 6,
            },
        ),
    ] {
        assert_eq!(fit(dims), expected, "{dims:?}");
        let fits = matches!(expected, Fit::Fits { .. });
        let importance = matrix.importance("a.weight", dims);
        assert_eq!(importance, fits.then_some(&values[..]), "{dims:?}");
    }
    assert_eq!(matrix.fit("a", &[6]), Fit::Missing);
    assert_eq!(matrix.importance("a", &[6]), None);
}

#[test]
fn what_should_be_known_is_noted_by_name() {
    let files = Files::new();
    let measured = |spec| write_gguf(&measure(&model(), &spec), "t").unwrap();
    let notes = |matrix: &Imatrix| matrix.check(&model()).unwrap();
    let missing = "quantized without importance, for the matrix has no entry: ";
    let unseen = "no token has reached these experts, so their columns count alike: \
                  blk.0.ffn_down_exps.weight (1), blk.0.ffn_up_exps.weight (1)";

    let partial = files.read(&measured(SPEC)).unwrap();
    let outer = format!("{missing}output.weight, token_embd.weight");
    assert_eq!(notes(&partial), [outer, unseen.to_owned()]);

    let spec = Spec {
        output: true,
        unseen: false,
        ..SPEC
    };
    let whole = files.read(&measured(spec)).unwrap();
    assert_eq!(notes(&whole), [format!("{missing}token_embd.weight")]);

    // Where importance changes nothing, nothing is missing.
    let with_types = |change: fn(GgmlType) -> GgmlType| {
        let with_type = |t: TensorInfo| TensorInfo::new(t.name, t.dims, change(t.ty)).unwrap();
        model().into_iter().map(with_type).collect::<Vec<_>>()
    };
    let q8_0 = with_types(|ty| match ty {
        GgmlType::F32 => GgmlType::F32,
        _ => GgmlType::Q8_0,
    });
    assert_eq!(partial.check(&q8_0).unwrap(), [""; 0]);
    assert_eq!(
        partial.check(&with_types(|_| GgmlType::F16)).unwrap(),
        [""; 0]
    );

    // An embedding that does not fit is done without, and an entry may be of no use.
    let mut more = whole.clone();
    let long = vec![0.5; 300];
    more.entries.insert("token_embd.weight".into(), long);
    more.entries
        .insert("blk.1.attn\x1b.weight".into(), vec![1.0]);
    assert_eq!(
        notes(&more),
        [
            "`token_embd.weight` is quantized without importance: the matrix has 300 values for it, \
             expected 256",
            "entries of the importance matrix without a tensor: blk.1.attn\\u{1b}.weight",
        ]
    );
}

/// What other architectures' tensors are measured as: names and shapes decide, not what they are.
#[test]
fn shared_experts_fused_stacks_and_fused_attention_have_entries_of_their_own() {
    let tensor = |name: &str, dims: &[u64]| {
        TensorInfo::new(format!("{name}.weight"), dims.to_vec(), GgmlType::Q4_K).unwrap()
    };
    let model = [
        tensor("blk.0.attn_qkv", &[256, 768]),
        tensor("blk.0.ffn_down_shexp", &[512, 256]),
        tensor("blk.0.ffn_gate_up_exps", &[256, 512, 3]),
        tensor("blk.0.attn_k_b", &[256, 512, 2]),
        tensor("blk.1.nextn.eh_proj", &[512, 256]),
        tensor("per_layer_token_embd", &[512, 300]),
    ];
    let mut stack = vec![0.5; 3 * 256];
    stack[256..512].fill(1.0);
    let entries = [
        ("blk.0.attn_qkv", &[0.5; 256][..]),
        ("blk.0.ffn_down_shexp", &[0.5; 512]),
        ("blk.0.ffn_gate_up_exps", &stack),
        ("blk.0.attn_k_b", &[0.5; 512]),
        // Gemma's embedding for each layer is let go like the other one.
        ("per_layer_token_embd", &[0.5; 300]),
    ];
    assert_eq!(
        matrix(&entries).check(&model).unwrap(),
        [
            "`per_layer_token_embd.weight` is quantized without importance: the matrix has 300 \
             values for it, expected 512",
            "quantized without importance, for the matrix has no entry: blk.1.nextn.eh_proj.weight",
            "no token has reached these experts, so their columns count alike: \
             blk.0.ffn_gate_up_exps.weight (1)",
        ]
    );
    let wrong = matrix(&[("blk.0.ffn_down_shexp", &[0.5; 256])]);
    let error = wrong.check(&model).unwrap_err().to_string();
    assert!(error.contains("blk.0.ffn_down_shexp.weight"), "{error}");
}

#[test]
fn of_many_names_the_first_are_noted() {
    let tensor = |i: usize| {
        let name = format!("blk.{i}.attn_q.weight");
        TensorInfo::new(name, vec![256, 256], GgmlType::Q4_K).unwrap()
    };
    let model: Vec<_> = (0..40).map(tensor).collect();
    let notes = matrix(&[("blk.0.attn_q", &[0.5; 256])])
        .check(&model)
        .unwrap();
    assert!(
        notes[0].contains("no entry: blk.1.attn_q.weight, blk.2.")
            && notes[0].ends_with(", blk.12.attn_q.weight and 27 more"),
        "{notes:?}"
    );
}

#[test]
fn importances_of_nothing_but_0_are_noted_with_their_places() {
    // Two experts of `ffn_down_exps` have rows of 512.
    let known = |columns: usize| vec![0.5; columns];
    let zeros = |columns: usize| vec![0.0; columns];
    let notes = |entries: &[(&str, &[f32])]| {
        let matrix = matrix(entries);
        let notes = matrix.check(&model()).unwrap();
        let of_zeros = |note: &String| !note.starts_with("quantized without importance, for");
        notes.into_iter().filter(of_zeros).collect::<Vec<_>>()
    };
    let by_place = [known(512), zeros(256), known(208), zeros(32), known(16)].concat();
    assert_eq!(
        notes(&[
            ("output", &known(256)),
            ("blk.0.attn_q", &zeros(256)),
            ("blk.0.ffn_up_exps", &[known(256), zeros(256)].concat()),
            ("blk.0.ffn_down_exps", &by_place),
            // Its type is not searched for.
            ("blk.0.ffn_gate_inp", &zeros(256)),
        ]),
        [
            "quantized as without a matrix, for all importances are 0: blk.0.attn_q.weight, \
             blk.0.ffn_down_exps.weight (columns 0 to 255 of expert 1), \
             blk.0.ffn_up_exps.weight (expert 1)"
        ]
    );
    // Where sub-blocks are searched by themselves, one is enough; in a row that is no stack the
    // columns say all.
    let one = [known(224), zeros(32)].concat();
    assert_eq!(
        notes(&[
            ("blk.0.attn_q", &one),
            ("blk.0.ffn_up_exps", &[zeros(256), one.clone()].concat()),
        ]),
        [
            "quantized as without a matrix, for all importances are 0: blk.0.attn_q.weight (columns \
             224 to 255), blk.0.ffn_up_exps.weight (expert 0; columns 224 to 255 of expert 1)"
        ]
    );
    // A column here and there is what importance is for.
    let scattered: Vec<f32> = (0..256).map(|i| (i % 16 / 15) as f32).collect();
    assert_eq!(notes(&[("blk.0.attn_q", &scattered)]), [""; 0]);
    assert_eq!(
        notes(&[
            ("blk.0.attn_q", &zeros(256)),
            ("blk.0.ffn_up_exps", &zeros(512)),
        ]),
        [
            "the importance matrix has nothing but zeros for this model, which is quantized as \
             without one"
        ]
    );
}

#[test]
fn the_matrix_of_another_model_is_refused_with_what_was_expected() {
    let error = |matrix: &Imatrix| matrix.check(&model()).unwrap_err().to_string();
    assert_eq!(
        error(&matrix(&[("blk.0.attn_q", &[1.0; 128])])),
        "importance matrix `m.gguf` has 128 values for `blk.0.attn_q.weight`, expected 256 (256 \
         columns × 1): it was made for another model"
    );
    assert_eq!(
        error(&matrix(&[("blk.0.ffn_up_exps", &[1.0; 256 * 8])])),
        "importance matrix `m.gguf` has 2048 values for `blk.0.ffn_up_exps.weight`, expected 512 \
         (256 columns × 2): it was made for another model"
    );
    assert_eq!(
        error(&matrix(&[("layers.0.q", &[1.0; 256])])),
        "importance matrix `m.gguf` has no entry for any tensor of this model: it has \
         `layers.0.q.weight`, expected names like `blk.0.ffn_up_exps.weight`"
    );
    assert_eq!(
        error(&matrix(&[("blk.0.ffn_gate_inp", &[1.0])])),
        "importance matrix `m.gguf` has 1 values for `blk.0.ffn_gate_inp.weight`, expected 256 (256 \
         columns × 1): it was made for another model"
    );
}
