//! What the documents say of the code: quotes are the files' own text, and tests that are named exist.
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

/// Every file below a folder.
fn files(folder: &str, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.to_str().unwrap().to_owned();
        match path.is_dir() {
            true if !name.ends_with("/target") => files(&name, found),
            true => {}
            false => found.push(name),
        }
    }
}

/// The cells of a document's table rows, without its heads.
fn rows(document: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(format!("{}/{document}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let rows =
        text.lines().filter(|l| l.starts_with("| ") && !l.starts_with("| fault") && !l.starts_with("| |"));
    rows.map(|row| row.split('|').skip(1).map(str::to_owned).collect()).collect()
}

/// What stands in backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Fails for the first test that is named and not there.
fn assert_there<'n>(document: &str, names: impl Iterator<Item = &'n str>) -> usize {
    let root = env!("CARGO_MANIFEST_DIR");
    let mut sources = Vec::new();
    files(&format!("{root}/src"), &mut sources);
    files(&format!("{root}/tests"), &mut sources);
    let code: String =
        sources.iter().filter(|f| f.ends_with(".rs")).map(|f| std::fs::read_to_string(f).unwrap()).collect();
    let mut count = 0;
    for name in names {
        count += 1;
        let there = match name.starts_with("tests/") {
            true => std::path::Path::new(&format!("{root}/{name}")).exists(),
            false => code.contains(&format!("fn {name}(")),
        };
        assert!(there, "{document} names {name}, which is not there");
    }
    count
}

#[test]
fn every_test_that_the_list_of_faults_names_exists() {
    let rows = rows("tests/faults.md");
    let count = assert_there("tests/faults.md", rows.iter().flat_map(|cells| quoted(&cells[1])));
    assert!(count > 100, "only {count} names were found");
}

/// The others are known to tests/reference/compare.py, and have no underscores in them.
#[test]
fn every_test_that_the_list_of_differences_names_exists() {
    let rows = rows("docs/differences.md");
    let names = rows.iter().flat_map(|cells| quoted(&cells[0])).filter(|name| name.contains('_'));
    let count = assert_there("docs/differences.md", names);
    assert!(count > 2, "only {count} names were found");
}
