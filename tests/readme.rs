//! The README quotes files that are compiled and run; a quote that differs from its file is wrong.
#![allow(clippy::unwrap_used, clippy::expect_used)]

/// What stands between the fences that open with "```LANGUAGE".
fn quotes(text: &str, language: &str) -> Vec<String> {
    let open = format!("```{language}\n");
    text.split(&open)
        .skip(1)
        .map(|rest| rest.split_once("```").expect("the fence is closed").0.to_owned())
        .collect()
}

#[test]
fn the_readme_quotes_the_quickstart_as_it_is() {
    let root = env!("CARGO_MANIFEST_DIR");
    let read = |path: &str| std::fs::read_to_string(format!("{root}/{path}")).unwrap();
    let readme = read("README.md");
    for (language, path) in [("c", "examples/c/quickstart.c"), ("yaml", "examples/connector.yaml")] {
        let file = read(path);
        assert!(quotes(&readme, language).contains(&file), "README.md does not quote {path} as it is");
    }
}
