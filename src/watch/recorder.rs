//! Keeps observations in memory and in a file; what did not change is not written again.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Last, Looks, WatchError, observation};
use cloud::aws::clock::ApiClock;
use cloud::files::{self, FileRefused};
use evidence::Timeline;
use evidence::timeline::{Gap, Observation, Observed};
use model::redact;

/// The version of the file, in its first line.
const VERSION: u32 = 2;

/// The most bytes of a recording: a day of a large group takes a tenth of it.
const LARGEST: u64 = 1 << 30;

#[derive(Debug, Serialize, Deserialize)]
struct Head {
    version: u32,
}

/// The observations so far, shared with their readers.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedTimeline(Arc<Mutex<Vec<Observation>>>);

impl SharedTimeline {
    pub(crate) fn timeline(&self) -> Timeline {
        Timeline {
            observations: self
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Recorder {
    file: Option<File>,
    seen: SharedTimeline,
    clock: ApiClock,
    last: Last,
    /// The time when the last look at each thing was sent.
    looks: Looks,
    /// Calls that fail at present, and why.
    gaps: Vec<Gap>,
}

impl Recorder {
    pub(crate) fn in_memory(clock: ApiClock) -> Self {
        let (last, looks) = (Last::new(), Looks::new());
        Self {
            file: None,
            seen: SharedTimeline::default(),
            clock,
            last,
            looks,
            gaps: Vec::new(),
        }
    }

    pub(crate) fn create(path: &Path, clock: ApiClock) -> Result<Self, WatchError> {
        let failed = |source| WatchError::Recording {
            path: path.display().to_string(),
            source,
        };
        let mut file = File::create(path).map_err(failed)?;
        let head = serde_json::to_string(&Head { version: VERSION }).unwrap_or_default();
        writeln!(file, "{head}").map_err(failed)?;
        Ok(Self {
            file: Some(file),
            ..Self::in_memory(clock)
        })
    }

    pub(crate) fn seen(&self) -> SharedTimeline {
        self.seen.clone()
    }

    pub(crate) fn timeline(&self) -> Timeline {
        self.seen.timeline()
    }

    pub(crate) fn see(&mut self, seen: Observed) {
        self.note(None, seen);
    }

    /// Records an observation if it differs from the last one of this key; true if it does.
    pub(crate) fn see_change(&mut self, key: &str, what: Observed) -> bool {
        if self.last.get(key) == Some(&what) {
            return false;
        }
        self.last.insert(key.to_owned(), what.clone());
        let after = self.looks.get(key).copied();
        self.note(after, what);
        true
    }

    /// Notes that a look was sent at a moment and was answered.
    pub(crate) fn looked(&mut self, key: &str, sent: Timestamp) {
        self.looks.insert(key.to_owned(), sent);
    }

    pub(crate) fn take(&mut self, seen: Result<Observed, WatchError>) {
        match seen {
            Ok(seen) => self.see(seen),
            Err(error) => self.gap(&error),
        }
    }

    /// Records a gap once, for as long as it is the same.
    pub(crate) fn gap(&mut self, error: &WatchError) {
        let gap = error.gap();
        match self.gaps.iter_mut().find(|known| known.call == gap.call) {
            Some(known) if *known == gap => return,
            Some(known) => known.clone_from(&gap),
            None => self.gaps.push(gap.clone()),
        }
        self.note(None, Observed::Gap(gap));
    }

    /// Ends the gaps of calls with these actions: they are answered again.
    pub(crate) fn heals(&mut self, actions: &[&str]) {
        let ended = |gap: &mut Gap| actions.iter().any(|action| gap.call.ends_with(action));
        for gap in self.gaps.extract_if(.., ended).collect::<Vec<_>>() {
            self.note(None, Observed::GapEnded { call: gap.call });
        }
    }

    fn note(&mut self, after: Option<Timestamp>, seen: Observed) {
        let observation = observation(Timestamp::now(), after, self.clock.last(), seen);
        // AWS's text is redacted here. If a secret is one of the recording's own words, the whole
        // line is redacted.
        let line = match redact::message(&observation, &["what"]) {
            Some(clean) => serde_json::to_string(&clean),
            None => serde_json::to_string(&observation).map(|line| redact::text(&line)),
        };
        if let (Some(file), Ok(line)) = (&mut self.file, line) {
            // Memory has it as well; a full disk must not end the watch.
            drop(writeln!(file, "{line}"));
        }
        self.seen
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(observation);
    }
}

/// Why a file of observations cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The system could not open or read the file.
    #[error("{}: {source}", path.display())]
    File {
        /// Path of the file.
        path: PathBuf,
        /// The reason.
        source: FileRefused,
    },
    /// The version in the first line is above the one that is known here.
    #[error("{}: written by a newer spikeproof (version {version})", path.display())]
    Newer {
        /// Path of the file.
        path: PathBuf,
        /// Version in the first line.
        version: u32,
    },
    /// A line before the last holds no observation.
    #[error("{}, line {line}: this is no observation (column {})", path.display(), source.column())]
    Line {
        /// Path of the file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// The reason why it cannot be parsed.
        source: serde_json::Error,
    },
    /// The file has no complete observation.
    #[error("{}: no observation in it; `spikeproof watch` and `run` write such files", path.display())]
    Empty {
        /// Path of the file.
        path: PathBuf,
    },
}

/// Reads the timeline that was written line by line. A last line that a killed run left half
/// written is not read.
pub fn read(path: &Path) -> Result<Timeline, RecordingError> {
    let text = files::read_text(path, LARGEST).map_err(|source| RecordingError::File {
        path: path.to_owned(),
        source,
    })?;
    let mut lines: Vec<(usize, &str)> = text.lines().enumerate().collect();
    // The first version had no head.
    if let Some((_, first)) = lines.first()
        && let Ok(head) = serde_json::from_str::<Head>(first)
    {
        if head.version > VERSION {
            return Err(RecordingError::Newer {
                path: path.to_owned(),
                version: head.version,
            });
        }
        lines.remove(0);
    }
    let mut observations = Vec::with_capacity(lines.len());
    let last = lines.last().map(|(index, _)| *index);
    for (index, line) in lines {
        match serde_json::from_str(line) {
            Ok(observation) => observations.push(observation),
            Err(_) if Some(index) == last => {}
            Err(source) => {
                return Err(RecordingError::Line {
                    path: path.to_owned(),
                    line: index + 1,
                    source,
                });
            }
        }
    }
    if observations.is_empty() {
        return Err(RecordingError::Empty {
            path: path.to_owned(),
        });
    }
    Ok(Timeline { observations })
}

#[cfg(test)]
mod tests {
    use super::*;
    use evidence::timeline::GapReason;

    fn gap(call: &str) -> Observed {
        Observed::Gap(Gap {
            call: call.to_owned(),
            why: "no".to_owned(),
            reason: GapReason::Failed,
        })
    }

    #[test]
    fn what_is_written_is_read_again_but_for_half_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("watch.jsonl");
        let mut recorder = Recorder::create(&path, ApiClock::default()).unwrap();
        recorder.see(gap("one"));
        assert!(recorder.see_change("two", gap("two")));
        assert!(!recorder.see_change("two", gap("two")));
        let expected = recorder.timeline();
        assert_eq!(read(&path).unwrap(), expected);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{text}{{\"at\":")).unwrap();
        assert_eq!(read(&path).unwrap(), expected);
        // A recording without a head, and without the fields that were added later.
        std::fs::write(
            &path,
            "{\"at\":\"2026-03-01T12:00:00Z\",\"seen\":{\"what\":\"gap\",\"call\":\"a\",\"why\":\"b\"}}\n",
        )
        .unwrap();
        assert_eq!(read(&path).unwrap().observations.len(), 1);
        std::fs::write(&path, "{\"version\":99}\n").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("newer"));
        std::fs::write(
            &path,
            format!(
                "{{\"version\":2}}\nnonsense\n{}\n",
                text.lines().nth(1).unwrap()
            ),
        )
        .unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("line 2"));
        std::fs::write(&path, "target: {}\n").unwrap();
        assert!(
            read(&path)
                .unwrap_err()
                .to_string()
                .contains("no observation")
        );
    }

    #[test]
    fn the_file_holds_no_secret() {
        let mut secrets = redact::Secrets::default();
        secrets.insert("WATCHED", "c4nary-of-the-watch");
        redact::keep(&secrets);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("watch.jsonl");
        Recorder::create(&path, ApiClock::default())
            .unwrap()
            .see(gap("c4nary-of-the-watch"));
        assert_eq!(
            read(&path).unwrap().observations[0].seen,
            gap("[secret WATCHED]")
        );
        assert!(!std::fs::read_to_string(&path).unwrap().contains("c4nary"));
    }

    #[test]
    fn a_gap_is_noted_when_it_begins_and_when_it_ends() {
        let mut recorder = Recorder::in_memory(ApiClock::default());
        let error = WatchError::Call {
            action: "autoscaling:DescribeScalingActivities",
            failure: cloud::aws::failure::Failure::Denied,
            source: "no".into(),
        };
        for _ in 0..3 {
            recorder.gap(&error);
        }
        recorder.heals(&["DescribeScalingActivities"]);
        recorder.heals(&["DescribeScalingActivities"]);
        recorder.gap(&error);
        let words: Vec<bool> = recorder
            .timeline()
            .observations
            .iter()
            .map(|one| matches!(one.seen, Observed::Gap(_)))
            .collect();
        assert_eq!(words, [true, false, true]);
    }

    #[test]
    fn what_changed_is_known_to_lie_after_the_look_before() {
        let mut recorder = Recorder::in_memory(ApiClock::default());
        let sent = "2026-03-01T12:00:00Z".parse().unwrap();
        recorder.see_change("a", gap("one"));
        recorder.looked("a", sent);
        recorder.see_change("a", gap("two"));
        let seen = recorder.timeline().observations;
        assert_eq!((seen[0].after, seen[1].after), (None, Some(sent)));
    }
}
