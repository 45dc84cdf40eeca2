//! The facts of the pages: links have targets, commands and options exist, tables are complete, and named
//! tests exist.
//!
//! It exists because no compiler reads prose. It never judges the content of a page.

mod commands;
mod complete;
mod pages;

use std::collections::BTreeMap;
use std::fs;

use tagfleet_tests::photos::files;
use tagfleet_tests::project;

use self::pages::{Page, all, prose, slug};

/// Phrases that STYLE.md replaces. The page that lists them is exempt, and so is the one that holds the help
/// of the code.
const BANNED: [&str; 11] = [
    " goes on",
    " go on with",
    " going on",
    " mend",
    "begun",
    " is no ",
    "so many",
    "whoever",
    "Whoever",
    "nobody",
    "anew",
];

#[test]
fn every_relative_link_has_a_target() {
    let pages = all();
    let mut broken = Vec::new();
    for page in &pages {
        for link in page.links() {
            if let Err(why) = follow(page, &link, &pages) {
                broken.push(format!("{}: {link}: {why}", page.name));
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new());
}

/// Looks for the file that a link names, and for the heading in it.
fn follow(page: &Page, link: &str, pages: &[Page]) -> Result<(), &'static str> {
    if link.starts_with("https://") || link.starts_with("mailto:") {
        return Ok(());
    }
    let (file, heading) = link.split_once('#').unwrap_or((link, ""));
    let target = if file.is_empty() { page.path.clone() } else { page.folder().join(file) };
    let target = target.canonicalize().map_err(|_| "there is no such file")?;
    if heading.is_empty() {
        return Ok(());
    }
    let target = pages.iter().find(|page| page.path == target).ok_or("it is not a page")?;
    let has_heading = target.headings().any(|text| slug(text) == heading);
    if has_heading { Ok(()) } else { Err("the page has no such heading") }
}

#[test]
fn every_page_of_the_guide_is_in_its_contents() {
    let contents = all().into_iter().find(|page| page.name == "docs/SUMMARY.md").unwrap();
    let resolved = |link: String| contents.folder().join(link).canonicalize().unwrap();
    let listed: Vec<_> = contents.links().into_iter().map(resolved).collect();
    for page in all().iter().filter(|page| page.name.starts_with("docs/") && page.name != contents.name) {
        assert!(listed.contains(&page.path), "{} is not in docs/SUMMARY.md", page.name);
    }
}

#[test]
fn the_readme_is_short() {
    let readme = fs::read_to_string(project("README.md")).unwrap();
    assert!(readme.lines().count() <= 150, "{} lines", readme.lines().count());
    assert!(readme.len() <= 8_000, "{} bytes", readme.len());
}

#[test]
fn no_line_of_prose_is_wider_than_the_code() {
    let mut wide = Vec::new();
    for page in all() {
        for (number, line) in prose(&page.text).filter(|(_, line)| line.chars().count() > 110) {
            wide.push(format!("{}:{number}: {line}", page.name));
        }
    }
    assert_eq!(wide, Vec::<String>::new());
}

#[test]
fn pages_use_the_words_of_the_style_guide() {
    let mut found = Vec::new();
    for page in all().into_iter().filter(|page| page.name != "STYLE.md" && page.name != commands::REFERENCE) {
        let text = page.text.replace("here is no ", "");
        for phrase in BANNED.iter().filter(|phrase| text.contains(**phrase)) {
            found.push(format!("{}: {phrase:?}", page.name));
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

/// Every function of the tree that could be a test, with the files that have it.
fn functions() -> BTreeMap<String, Vec<String>> {
    let mut functions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for folder in fs::read_dir(project("")).unwrap().map(|entry| entry.unwrap().path()) {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        if !folder.is_dir() || name.starts_with('.') || name == "target" || name == "fuzz" {
            continue;
        }
        for file in files(&folder).iter().filter(|file| file.extension().is_some_and(|end| end == "rs")) {
            let source = fs::read_to_string(file).unwrap();
            for rest in source.split("fn ").skip(1) {
                let function: String =
                    rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                functions.entry(function).or_default().push(file.display().to_string());
            }
        }
    }
    functions
}

/// The name alone is enough if it is unique in the tree. Otherwise a folder or file of its path is added:
/// `request::name`.
fn assert_is_a_test(named: &str, functions: &BTreeMap<String, Vec<String>>) {
    let (place, name) = named.rsplit_once("::").unwrap_or(("", named));
    let files = functions.get(name).map_or(&[][..], Vec::as_slice);
    let fits = |file: &&String| place.is_empty() || file.contains(&format!("/{place}"));
    assert_eq!(files.iter().filter(fits).count(), 1, "{named} is not the name of one test");
}

#[test]
fn every_test_that_a_page_names_exists() {
    let functions = functions();
    let security = pages::tests_in_tables(&fs::read_to_string(project("SECURITY.md")).unwrap());
    assert!(security.len() > 90, "SECURITY.md names {} tests", security.len());
    let architecture = pages::tests_in_items(&fs::read_to_string(project("ARCHITECTURE.md")).unwrap());
    assert!(architecture.len() > 25, "ARCHITECTURE.md names {} tests", architecture.len());
    for named in security.iter().chain(&architecture) {
        assert_is_a_test(named, &functions);
    }
}
