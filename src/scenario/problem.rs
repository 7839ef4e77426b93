//! A problem in the file.

/// What is wrong, where, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Bytes of the text.
    pub span: std::ops::Range<usize>,
    pub message: String,
    /// Shown under the caret.
    pub label: String,
    pub help: Option<String>,
}

/// All problems as text, like rustc's.
pub fn render(_file: &str, _text: &str, _problems: &[Problem], _colour: bool) -> String {
    String::new()
}
