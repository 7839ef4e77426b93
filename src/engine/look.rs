//! Looks for values in a body, for a limited time: a worker that looks does nothing else.
//!
//! Parsers and queries of other crates cannot be stopped, so they get their work in small pieces,
//! with a look at the clock after each.

use std::time::{Duration, Instant};

use html5ever::driver;
use html5ever::tendril::{StrTendril, TendrilSink as _};
use scraper::{ElementRef, Html, HtmlTreeSink, Selector};
use serde_json::Value;
use serde_json_path::{JsonPath, ParseError};

/// The time for all checks and captures of one body. Pages and documents of some megabytes are read
/// in a small part of it; what takes longer is out of proportion to its size.
pub(crate) const LONGEST: Duration = Duration::from_secs(1);
/// The values that one JSONPath may find on its way. Paths such as `$..*..*` find more than the
/// body has.
const MOST_VALUES: usize = 1_000_000;
/// Bytes of a page between two looks at the clock. A tag inside 100,000 others that are all open
/// costs a millisecond.
const PIECE: usize = 256;

/// Levels that a page may have, as in browsers. What looks upwards from each element, and what calls
/// itself for each level, has an end by it.
const DEEPEST_PAGE: usize = 512;
/// Steps upwards from the elements of a page that are taken without a look at the clock.
const MOST_STEPS: usize = 20_000_000;

/// The time is over, or too much was found: nothing is known of the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooSlow;

/// The end of the time for one body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    until: Instant,
}

impl Look {
    pub(crate) fn begin() -> Self {
        Self::lasting(LONGEST)
    }

    pub(crate) fn lasting(time: Duration) -> Self {
        Self {
            until: Instant::now() + time,
        }
    }

    /// Fails once the time is over.
    pub(crate) fn go_on(self) -> Result<(), TooSlow> {
        match Instant::now() < self.until {
            true => Ok(()),
            false => Err(TooSlow),
        }
    }
}

/// Reads a page; one that is deeper than [`DEEPEST_PAGE`] is given up.
pub(crate) fn page(text: &str, look: Look) -> Result<Html, TooSlow> {
    let sink = HtmlTreeSink::new(Html::new_document());
    let mut parser = driver::parse_document(sink, driver::ParseOpts::default());
    let mut rest = text;
    while !rest.is_empty() {
        look.go_on()?;
        let (piece, after) = rest.split_at(rest.ceil_char_boundary(PIECE.min(rest.len())));
        parser.process(StrTendril::from(piece));
        rest = after;
    }
    look.go_on()?;
    let page = parser.finish();
    match Extent::of(&page).depth > DEEPEST_PAGE {
        true => Err(TooSlow),
        false => Ok(page),
    }
}

/// The size of a page.
struct Extent {
    nodes: usize,
    depth: usize,
}

impl Extent {
    fn of(page: &Html) -> Self {
        let (mut nodes, mut level, mut depth) = (0, 1usize, 1);
        let mut at = Some(page.tree.root());
        while let Some(node) = at {
            nodes += 1;
            depth = depth.max(level);
            at = node.first_child();
            level += usize::from(at.is_some());
            let mut done = node;
            while at.is_none() {
                at = done.next_sibling();
                let Some(above) = done.parent() else { break };
                if at.is_none() {
                    done = above;
                    level -= 1;
                }
            }
        }
        Self { nodes, depth }
    }
}

/// A CSS selector, with what is known of its cost.
pub(crate) struct PageQuery {
    selector: Selector,
    /// It counts siblings: only the crate's own iterator remembers the counts.
    counts_siblings: bool,
    /// It looks at all siblings before an element.
    passes_siblings: bool,
}

impl PageQuery {
    pub(crate) fn new(selector: Selector, written: &str) -> Self {
        let counting = [":nth-", ":first-of", ":last-of", ":only-of"];
        Self {
            selector,
            counts_siblings: counting.iter().any(|word| written.contains(word)),
            passes_siblings: written.contains('~'),
        }
    }

    /// True if the crate's own iterator has an end in time: its clock is asked at matches only.
    fn may_count(&self, page: &Html) -> bool {
        let few_steps = || {
            let Extent { nodes, depth } = Extent::of(page);
            nodes.saturating_mul(depth) <= MOST_STEPS
        };
        self.counts_siblings && !self.passes_siblings && few_steps()
    }

    /// Returns the elements that match, in the order of the page; `most` of them.
    pub(crate) fn elements<'p>(
        &self,
        page: &'p Html,
        fits: &dyn Fn(&ElementRef<'p>) -> bool,
        most: usize,
        look: Look,
    ) -> Result<Vec<ElementRef<'p>>, TooSlow> {
        let mut found = Vec::new();
        if self.may_count(page) {
            for element in page.select(&self.selector).filter(fits).take(most) {
                look.go_on()?;
                found.push(element);
            }
            return Ok(found);
        }
        for element in page.tree.nodes().filter_map(ElementRef::wrap) {
            look.go_on()?;
            let matches = element.parent().is_some() && self.selector.matches(&element);
            if matches && fits(&element) {
                found.push(element);
                if found.len() == most {
                    break;
                }
            }
        }
        Ok(found)
    }
}

/// A JSONPath, as its segments: each is a query of its own, asked of the values found before.
pub(crate) struct JsonQuery {
    segments: Vec<JsonPath>,
}

impl JsonQuery {
    pub(crate) fn parse(path: &str) -> Result<Self, ParseError> {
        let whole = JsonPath::parse(path)?;
        let apart: Option<Vec<JsonPath>> = segments(path).map(|segments| {
            let each = segments.iter();
            each.filter_map(|segment| JsonPath::parse(&format!("${segment}")).ok())
                .collect()
        });
        let segments = match apart {
            Some(apart) if Some(apart.len()) == segments(path).map(|all| all.len()) => apart,
            _ => vec![whole],
        };
        Ok(Self { segments })
    }

    /// Returns every value that the path finds.
    pub(crate) fn all<'v>(&self, root: &'v Value, look: Look) -> Result<Vec<&'v Value>, TooSlow> {
        let mut found = vec![root];
        for segment in &self.segments {
            let mut next = Vec::new();
            for value in found {
                look.go_on()?;
                next.append(&mut segment.query(value).all());
                if next.len() > MOST_VALUES {
                    return Err(TooSlow);
                }
            }
            found = next;
        }
        Ok(found)
    }
}

/// Splits a valid path behind its `$`. `None` if a filter asks for the root: there it must stay the
/// root.
fn segments(path: &str) -> Option<Vec<&str>> {
    let path = path.trim();
    let rest = path.strip_prefix('$')?;
    let (mut starts, mut depth, mut quote) = (Vec::new(), 0usize, None);
    let mut characters = rest.char_indices();
    while let Some((at, c)) = characters.next() {
        match (quote, c) {
            (Some(_), '\\') => drop(characters.next()),
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '$') => return None,
            (None, '[') => {
                // `..[` is one segment with its dots.
                if depth == 0 && !rest[..at].ends_with("..") {
                    starts.push(at);
                }
                depth += 1;
            }
            (None, ']') => depth = depth.checked_sub(1)?,
            (None, '.') if depth == 0 && !rest[..at].ends_with('.') => starts.push(at),
            (None, _) => {}
        }
    }
    let ends = starts.iter().skip(1).copied().chain([rest.len()]);
    let parts = starts.iter().zip(ends);
    Some(parts.map(|(from, to)| rest[*from..to].trim()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(body: &str, selector: &str) -> Result<usize, TooSlow> {
        let look = Look::begin();
        let page = page(body, look)?;
        let query = PageQuery::new(Selector::parse(selector).unwrap(), selector);
        let found = query.elements(&page, &|_| true, usize::MAX, look)?;
        Ok(found.len())
    }

    #[test]
    fn a_page_in_pieces_is_the_same_page() {
        let row = "<tr><td>größer</td><td class=x>2</td></tr>";
        let body = format!("<table>{}</table>", row.repeat(40));
        let whole = Html::parse_document(&body);
        assert_eq!(page(&body, Look::begin()).unwrap().tree, whole.tree);
        for (selector, number) in [("td.x", 40), ("tr:nth-child(2) td", 2), ("p", 0)] {
            assert_eq!(elements(&body, selector), Ok(number), "{selector}");
        }
    }

    #[test]
    fn a_page_that_nests_without_end_is_given_up_in_time() {
        // Each tag looks through all that are open: 13 MB would take hours.
        let body = "<div>".repeat(13_000_000 / 5);
        let begun = Instant::now();
        assert_eq!(elements(&body, "div"), Err(TooSlow));
        assert!(begun.elapsed() < LONGEST * 5, "{:?}", begun.elapsed());
    }

    /// A worker has a stack of 2 MiB, and a selector that looks downwards calls itself for each level.
    #[test]
    fn a_page_deeper_than_browsers_take_is_given_up_on_the_stack_of_a_worker() {
        const LEVELS: usize = 170_000;
        let found = |levels: usize, selector: &'static str| {
            let worker = std::thread::Builder::new().stack_size(2 << 20);
            let looked = move || {
                let look = Look::lasting(LONGEST * 60);
                // Without its end tags a page costs the parser more with each level.
                let page = page(&"<span>".repeat(levels), look)?;
                let query = PageQuery::new(Selector::parse(selector).unwrap(), selector);
                let found = query.elements(&page, &|_| true, usize::MAX, look)?;
                Ok(found.len())
            };
            worker.spawn(looked).unwrap().join().unwrap()
        };
        for selector in ["span:has(b)", "span b", "b", "b:nth-child(2) b"] {
            assert_eq!(found(LEVELS / 10, selector), Err(TooSlow), "{selector}");
            assert_eq!(found(500, selector), Ok(0), "{selector}");
        }
        assert_eq!(found(500, "span:nth-child(1) span:last-child"), Ok(499));
        let begun = Instant::now();
        let body = "<span>".repeat(LEVELS);
        assert_eq!(elements(&body, "b"), Err(TooSlow));
        assert!(begun.elapsed() < LONGEST * 5, "{:?}", begun.elapsed());
    }

    #[test]
    fn a_selector_that_counts_and_passes_siblings_is_given_up_in_time() {
        let body = "<i></i>".repeat(20_000);
        for selector in ["b ~ i:nth-child(2)", "i:nth-last-child(2) ~ b"] {
            let page = page(&body, Look::lasting(LONGEST * 60)).unwrap();
            let query = PageQuery::new(Selector::parse(selector).unwrap(), selector);
            let look = Look::lasting(Duration::from_millis(50));
            let begun = Instant::now();
            let found = query.elements(&page, &|_| true, usize::MAX, look);
            assert!(found.is_err() || begun.elapsed() < LONGEST, "{selector}");
            assert!(begun.elapsed() < LONGEST * 5, "{:?}", begun.elapsed());
        }
    }

    #[test]
    fn paths_are_asked_segment_by_segment() {
        for (path, parts) in [
            ("$", Some(vec![])),
            ("$.a.b", Some(vec![".a", ".b"])),
            ("$..a[0]['x.y']", Some(vec!["..a", "[0]", "['x.y']"])),
            ("$..[?@.a == '$]'].*", Some(vec!["..[?@.a == '$]']", ".*"])),
            ("$[?@.a == $.b]", None),
            ("$ .a [ 1 ]", Some(vec![".a", "[ 1 ]"])),
        ] {
            assert_eq!(segments(path), parts, "{path}");
        }
        let body = r#"{"w": 2, "a": [{"id": 1, "t": {"id": 2}}, {"id": 2}, {"x": ["y", 5]}]}"#;
        let root: Value = serde_json::from_str(body).unwrap();
        for path in [
            "$",
            "$.a",
            "$.a[*].id",
            "$..id",
            "$..*",
            "$..a..id",
            "$.a[?@.id == $.w]",
            "$.a[-1].x[1]",
            "$['a', 'w']",
            "$.a[0:2]['t', 'id']",
            "$..[?@.id]",
            "$.none.id",
        ] {
            let query = JsonQuery::parse(path).unwrap();
            let whole = JsonPath::parse(path).unwrap();
            let found = query.all(&root, Look::begin()).unwrap();
            assert_eq!(found, whole.query(&root).all(), "{path}");
        }
    }

    #[test]
    fn a_path_that_finds_without_end_is_given_up_in_time() {
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        let root: Value =
            serde_json::from_str(&format!("[{}]", vec![deep; 1_000].join(","))).unwrap();
        let query = JsonQuery::parse("$..*..*..*..*").unwrap();
        let begun = Instant::now();
        assert_eq!(query.all(&root, Look::begin()), Err(TooSlow));
        assert!(begun.elapsed() < LONGEST * 5, "{:?}", begun.elapsed());
        let look = Look::lasting(Duration::ZERO);
        assert_eq!(
            JsonQuery::parse("$[0]").unwrap().all(&root, look),
            Err(TooSlow)
        );
    }
}
