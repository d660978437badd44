//! What a user asks for by name.

use super::*;

fn rules(given: &[&str]) -> Knobs {
    Knobs {
        tensor_types: given.iter().map(|rule| rule.parse().unwrap()).collect(),
        ..Knobs::default()
    }
}

#[test]
fn the_first_pattern_found_decides_and_the_rest_counts_on_without_it() {
    let knobs = rules(&["BLK\\.0\\.ATTN=q8_0", "attn_(v|k)=f16", "attn_v=q6_k"]);
    let mut mix = Mix::new(Q4_K_S, &knobs, model(8, 0));
    let v = |mix: &mut Mix<'_>, i| choose(mix, &format!("blk.{i}.attn_v.weight"));
    let first = v(&mut mix, 0);
    assert_eq!(first.ty, Q8_0);
    assert_eq!(
        first.reason.to_string(),
        "--tensor-type blk\\.0\\.attn=Q8_0"
    );
    assert_eq!(v(&mut mix, 1).ty, F16);
    assert_eq!(choose(&mut mix, "blk.1.attn_norm.weight").ty, BF16);

    // A dense model's ffn_down are counted: the first the mix sees is its first. Those of a
    // mixture of experts have the number of their layer.
    for (n_expert, kind, expected) in [
        (0, "ffn_down", [Q8_0, Q5_K, Q4_K]),
        (2, "ffn_down_exps", [Q8_0, Q4_K, Q4_K]),
    ] {
        let knobs = rules(&["blk.0.ffn_down=q8_0"]);
        let mut mix = Mix::new(Q4_K_S, &knobs, model(8, n_expert));
        let types = [0, 1, 2].map(|i| choose(&mut mix, &format!("blk.{i}.{kind}.weight")).ty);
        assert_eq!(types, expected);
    }
}

#[test]
fn precedence() {
    let all = Knobs {
        output_type: Some(Q5_K),
        token_embedding_type: Some(Q8_0),
        leave_output: true,
        pure: true,
        experts_type: Some(Q3_K),
        attn_type: Some(Q5_0),
        ..rules(&["output|embd|attn_v|up_exps=q6_k"])
    };
    let types = |file_type, knobs: &Knobs, tied| {
        let model = MixModel {
            tied,
            ..model(4, 2)
        };
        let mut mix = Mix::new(file_type, knobs, model);
        [
            "output.weight",
            "token_embd.weight",
            "blk.0.attn_v.weight",
            "blk.0.attn_q.weight",
            "blk.0.ffn_up_exps.weight",
            "blk.0.ffn_down_exps.weight",
        ]
        .map(|name| choose(&mut mix, name).ty)
    };
    assert_eq!(
        types(Q4_K_M, &all, false),
        [BF16, Q8_0, Q6_K, Q5_0, Q6_K, Q3_K]
    );
    // Patterns are for quantized file types, the rest is for all.
    assert_eq!(
        types(FileType::F16, &all, false),
        [BF16, Q8_0, Q5_0, Q5_0, Q3_K, Q3_K]
    );
    let knobs = Knobs {
        leave_output: false,
        token_embedding_type: None,
        ..all.clone()
    };
    assert_eq!(types(Q4_K_M, &knobs, false)[..2], [Q5_K, Q6_K]);
    // Where the embedding is the output, the mix gives it the output's type, if it is asked.
    let knobs = Knobs {
        output_type: Some(Q5_K),
        ..Knobs::default()
    };
    assert_eq!(types(Q4_K_M, &knobs, true)[1], Q5_K);
    let knobs = Knobs {
        pure: true,
        ..knobs
    };
    assert_eq!(types(Q4_K_M, &knobs, true)[1], Q4_K);
    assert_eq!(types(Q4_K_M, &knobs, true)[5], Q4_K);
}

#[test]
fn plain_words_know_the_tensors_of_all_architectures() {
    let knobs = Knobs {
        experts_type: Some(Q3_K),
        attn_type: Some(Q5_0),
        ..Knobs::default()
    };
    let mut mix = Mix::new(FileType::Q8_0, &knobs, model(4, 2));
    for (kind, ty) in [
        ("attn_qkv", Q5_0),
        ("attn_q_a", Q5_0),
        ("attn_kv_b", Q5_0),
        ("attn_q_norm", BF16),
        ("ffn_gate_up_exps", Q3_K),
        ("ffn_down_exps", Q3_K),
        ("ffn_down_shexp", Q8_0),
        ("ffn_gate_inp", BF16),
        ("ffn_down", Q8_0),
        ("ssm_in", Q8_0),
    ] {
        let choice = choose(&mut mix, &format!("blk.0.{kind}.weight"));
        assert_eq!(choice.ty, ty, "{kind}");
    }
}

#[test]
fn only_the_two_named_types_ignore_the_row_length() {
    let knobs = Knobs {
        output_type: Some(Q4_K),
        attn_type: Some(Q5_K),
        ..rules(&["ffn=q4_k"])
    };
    let mut mix = Mix::new(FileType::Q8_0, &knobs, model(2, 0));
    let types = ["output", "blk.0.attn_q", "blk.0.ffn_up"].map(|name| {
        let name = format!("{name}.weight");
        mix.choose(&name, &[96, 96], BF16).unwrap().ty
    });
    assert_eq!(types, [Q4_K, Q5_1, Q5_0]);
}

#[test]
fn broken_rules_show_what_is_expected_and_where() {
    for (rule, message) in [
        ("attn_v", "`attn_v` is no rule, expected REGEX=TYPE"),
        ("=q8_0", "expected REGEX=TYPE"),
        ("attn_v=", "expected REGEX=TYPE"),
        (
            "attn_v=q9",
            "`q9` is not a tensor type we write, expected one of F32, F16, ",
        ),
        (
            "attn_(v=q8_0",
            "opening parenthesis without closing parenthesis at byte 7",
        ),
        ("blk.*+?+=q8_0", "at byte"),
        ("attn_[v=q8_0", "broken pattern: "),
    ] {
        let error = rule.parse::<TensorRule>().unwrap_err().to_string();
        assert!(error.contains(message), "{rule}: {error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn patterns_may_look_around_but_not_for_ever() {
    let knobs = rules(&[r"blk\.(?!0\.|3\.)\d+\.ffn_up=q8_0"]);
    let mut mix = Mix::new(Q4_K_M, &knobs, model(8, 0));
    let types = [0, 1, 3, 4].map(|i| choose(&mut mix, &format!("blk.{i}.ffn_up.weight")).ty);
    assert_eq!(types, [Q4_K, Q8_0, Q4_K, Q8_0]);

    let knobs = rules(&[r"(a|b|ab)*(?>[c-d])=q8_0"]);
    let mut mix = Mix::new(Q4_K_M, &knobs, model(8, 0));
    let name = "ab".repeat(28) + ".weight";
    let error = mix.choose(&name, &[512, 512], BF16).unwrap_err();
    assert!(error.to_string().contains("takes too many steps on `abab"));
}

#[test]
fn what_has_no_effect_is_noted_with_the_reason() {
    let notes = |file_type, knobs: &Knobs| {
        let model = MixModel {
            tied: true,
            ..model(1, 0)
        };
        let mut mix = Mix::new(file_type, knobs, model);
        let names = ["token_embd.weight", "blk.0.attn_q.weight"];
        let reasons = names.map(|name| choose(&mut mix, name).reason);
        let tensors: Vec<_> = names.into_iter().zip(&reasons).collect();
        let quantized = file_type.default_type().is_quantized();
        knobs.without_effect(&tensors, quantized).unwrap()
    };
    let knobs = rules(&["attn_q=q8_0", "attn_k=q8_0", "blk.0=q6_k"]);
    assert_eq!(
        notes(Q4_K_M, &knobs),
        [
            "`--tensor-type attn_k=Q8_0` has no effect: no tensor has a name like this",
            "`--tensor-type blk.0=Q6_K` has no effect: the tensors named like this are never quantized, or another option comes first",
        ]
    );
    let knobs = rules(&["attn_q=q8_0"]);
    assert_eq!(
        notes(FileType::F16, &knobs),
        ["`--tensor-type attn_q=Q8_0` has no effect: patterns apply to quantized file types only"]
    );
    let knobs = Knobs {
        output_type: Some(Q8_0),
        experts_type: Some(Q8_0),
        attn_type: Some(Q8_0),
        leave_output: true,
        ..Knobs::default()
    };
    let lines = notes(Q4_K_M, &knobs);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("`--leave-output-tensor` has no effect: there is no"));
    assert!(lines[1].starts_with("`--experts-type Q8_0` has no effect: no experts"));
}
