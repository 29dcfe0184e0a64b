//! The preset `paper` against the authors' public scripts: every value of `authors.toml`.

use super::*;

#[test]
fn what_the_authors_pretrain_elsewhere_needs_weights() {
    let paper = |set: &[&str]| Plan::resolve(&request("esc50", &[&["preset=paper"][..], set].concat()));
    assert_eq!(
        paper(&[]).unwrap_err().to_string(),
        "preset `paper` does not pretrain on `esc50`: its values are for pretraining on `audioset`, whose encoder \
         `esc50` then judges"
    );
    for method in ["scratch", "random-init"] {
        assert!(paper(&[&format!("method={method}")]).is_ok(), "{method}");
    }
}

#[test]
fn paper_has_the_values_of_the_authors_scripts() {
    let mut wrong = Vec::new();
    for script in explain::scripts() {
        let names = &script.names;
        let set: Vec<&str> = names.split(' ').chain(["preset=paper"]).collect();
        let plan = Plan::resolve(&request("", &set)).unwrap().to_flat();
        for explain::ScriptValue {
            key,
            value: theirs,
            source,
        } in &script.values
        {
            let ours = value_of(&plan, key);
            if ours.as_ref() != Some(theirs) {
                wrong.push(format!("{names}: {key} is {ours:?}, {theirs} in {source}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
