//! The READMEs and the pages of `docs/` stay in plain English, short tables, and links that work.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A longer table cell is a section.
const CELL: usize = 200;
/// A longer sentence is two.
const WORDS: usize = 40;
/// Heads of sentences that a reader has to read twice.
const RIDDLES: [&str; 3] = ["Of those", "Whoever", "So many"];

fn pages() -> Vec<(PathBuf, String)> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths: Vec<PathBuf> = std::fs::read_dir(project.join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "md"))
        .collect();
    paths.extend(["README.md", "terraform/README.md"].map(|page| project.join(page)));
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            (path, text)
        })
        .collect()
}

/// Returns the lines outside code blocks.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    page.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    })
}

/// Returns the cells of a table's row; `\|` is no border.
fn cells(row: &str) -> Vec<String> {
    row.replace("\\|", " ")
        .trim()
        .trim_matches('|')
        .split('|')
        .map(|cell| cell.trim().to_owned())
        .collect()
}

/// Paragraphs, list items, headings and table cells, each on one line.
fn blocks(page: &str) -> Vec<String> {
    let mut blocks = vec![String::new()];
    for line in prose(page) {
        let text = line.trim();
        let (begins, ends) = match text {
            "" => (true, true),
            heading if heading.starts_with('#') => (true, true),
            row if row.starts_with('|') => {
                blocks.extend(cells(row));
                blocks.push(String::new());
                continue;
            }
            item => (is_list_item(item), false),
        };
        if begins {
            blocks.push(String::new());
        }
        let block = blocks.last_mut().unwrap();
        block.push_str(text);
        block.push(' ');
        if ends {
            blocks.push(String::new());
        }
    }
    blocks
}

fn is_list_item(line: &str) -> bool {
    let number = line.trim_start_matches(|digit: char| digit.is_ascii_digit());
    line.starts_with("- ") || (number.len() < line.len() && number.starts_with(". "))
}

/// Returns the sentences of a block, without the marks of lists, headings and emphasis.
fn sentences(block: &str) -> Vec<String> {
    let text = block.replace("**", "");
    let item =
        text.trim_start_matches(|mark: char| "->#. ".contains(mark) || mark.is_ascii_digit());
    let mut sentences = vec![String::new()];
    for word in item.split_whitespace() {
        let sentence = sentences.last_mut().unwrap();
        sentence.push_str(word);
        sentence.push(' ');
        if word
            .trim_end_matches(['*', ')', '"'])
            .ends_with(['.', '?', '!', ':', ';'])
        {
            sentences.push(String::new());
        }
    }
    sentences
        .into_iter()
        .map(|sentence| sentence.trim().to_owned())
        .filter(|sentence| !sentence.is_empty())
        .collect()
}

/// True for a riddle, such as "What a run leaves is ..."; "What does it cost?" is a question.
fn is_riddle(sentence: &str) -> bool {
    let what = sentence
        .strip_prefix("What ")
        .is_some_and(|rest| rest.starts_with(|first: char| first.is_lowercase()));
    (what && !sentence.ends_with('?')) || RIDDLES.iter().any(|head| sentence.starts_with(head))
}

fn is_long(sentence: &str) -> bool {
    sentence.split_whitespace().count() > WORDS
}

fn offending(is_wrong: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for (path, page) in pages() {
        for sentence in blocks(&page).iter().flat_map(|block| sentences(block)) {
            if is_wrong(&sentence) {
                found.push(format!("{}: {sentence}", path.display()));
            }
        }
    }
    found
}

#[test]
fn the_check_recognises_riddles_and_long_sentences() {
    for riddle in [
        "What is left is named.",
        "Of those the best.",
        "Whoever asks.",
        "So many tasks.",
    ] {
        assert!(is_riddle(riddle), "{riddle}");
    }
    for plain in [
        "What does it cost?",
        "The cost is low.",
        "What Fargate costs.",
    ] {
        assert!(!is_riddle(plain), "{plain}");
    }
    assert!(is_long(&"word ".repeat(WORDS + 1)));
    assert_eq!(
        blocks("# Head\n\n- one\n  item. And more\n- two\n| a | b \\| c |\n")
            .iter()
            .flat_map(|block| sentences(block))
            .collect::<Vec<_>>(),
        ["Head", "one item.", "And more", "two", "a", "b   c"]
            .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
    );
}

#[test]
fn no_table_cell_is_longer_than_200_characters() {
    let mut long = Vec::new();
    for (path, page) in pages() {
        for row in prose(&page).filter(|line| line.starts_with('|')) {
            for cell in cells(row) {
                if cell.chars().count() > CELL {
                    long.push(format!("{}: {cell}", path.display()));
                }
            }
        }
    }
    assert_eq!(long, Vec::<String>::new());
}

#[test]
fn no_sentence_begins_with_a_riddle() {
    assert_eq!(offending(is_riddle), Vec::<String>::new());
}

#[test]
fn no_sentence_is_longer_than_40_words() {
    assert_eq!(offending(is_long), Vec::<String>::new());
}

/// Returns the anchor that GitHub gives to a heading.
fn anchor(heading: &str) -> String {
    heading
        .trim_start_matches('#')
        .trim()
        .to_lowercase()
        .chars()
        .filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter))
        .map(|letter| if letter == ' ' { '-' } else { letter })
        .collect()
}

fn anchors(page: &str) -> BTreeSet<String> {
    prose(page)
        .filter(|line| line.starts_with('#'))
        .map(anchor)
        .collect()
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_exist() {
    let mut broken = Vec::new();
    for (path, page) in pages() {
        let folder = path.parent().unwrap();
        for line in prose(&page) {
            for link in line
                .split("](")
                .skip(1)
                .filter_map(|rest| rest.split(')').next())
            {
                if link.contains("://") {
                    continue;
                }
                let (file, heading) = link.split_once('#').unwrap_or((link, ""));
                let target = if file.is_empty() {
                    path.clone()
                } else {
                    folder.join(file)
                };
                let is_heading = heading.is_empty()
                    || std::fs::read_to_string(&target)
                        .is_ok_and(|text| anchors(&text).contains(heading));
                if !target.exists() || !is_heading {
                    broken.push(format!("{}: {link}", path.display()));
                }
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn the_glossary_is_alphabetical_and_each_term_is_in_it_once() {
    let glossary = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/GLOSSARY.md");
    let text = std::fs::read_to_string(glossary).unwrap();
    let terms: Vec<String> = text
        .lines()
        .filter(|line| line.starts_with("| "))
        .skip(1)
        .map(|row| cells(row)[0].to_lowercase().replace('-', " "))
        .collect();
    let mut sorted = terms.clone();
    sorted.sort();
    sorted.dedup();
    assert!(terms.len() > 50);
    assert_eq!(terms, sorted);
}
