use super::*;

fn list(values: &[(&str, Value)]) -> KeyValues {
    values
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.clone()))
        .collect()
}

#[test]
fn key_values_differ_by_presence_type_and_bits() {
    let nan = f32::NAN;
    let a = list(&[
        ("same", nan.into()),
        ("gone", true.into()),
        ("type", 1u32.into()),
        ("bits", 0.0f32.into()),
        ("list", Array::F32(vec![nan, 1.0]).into()),
    ]);
    let b = list(&[
        ("new", "n".into()),
        ("list", Array::F32(vec![nan, 1.0]).into()),
        ("bits", (-0.0f32).into()),
        ("type", Value::U64(1)),
        ("same", nan.into()),
    ]);
    let keys = |diffs: Vec<KeyDiff>| diffs.into_iter().map(|d| d.key).collect::<Vec<_>>();
    assert_eq!(
        keys(diff_key_values(&a, &b)),
        ["gone", "type", "bits", "new"]
    );
    assert_eq!(diff_key_values(&a, &a), []);
    let values = |d: &KeyDiff| d.values.clone();
    let diffs = diff_key_values(&a, &b);
    assert_eq!(values(&diffs[0]), Sides::OnlyA(true.into()));
    assert_eq!(values(&diffs[1]), Sides::Both(1u32.into(), Value::U64(1)));
    assert_eq!(values(&diffs[3]), Sides::OnlyB("n".into()));
}

#[test]
fn only_what_both_have_can_be_moved() {
    let moved =
        |a: &[&'static str], b: &[&'static str]| first_moved(a.iter().copied(), b.iter().copied());
    assert_eq!(moved(&["x", "y", "z"], &["y", "w", "z"]), None);
    assert_eq!(
        moved(&["x", "y", "z"], &["x", "z", "y"]).as_deref(),
        Some("y")
    );
    assert_eq!(moved(&[], &["x"]), None);
}
