//! Draws rows from data files for one worker: only its own, so that no two workers of any task
//! share one.

use rand::RngExt as _;
use rand_pcg::Pcg64Mcg;

use model::plan::Share;
use model::scenario::{DataFile, Division, Order, WhenUsedUp};

/// The rows of one data file that belong to a worker.
#[derive(Debug)]
pub(crate) struct RowCursor {
    first: u64,
    step: u64,
    count: u64,
    drawn: u64,
    order: Order,
    when_used_up: WhenUsedUp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drawn {
    Row(u32),
    /// No row is left, and no iteration is to begin.
    Stop,
    /// No row is left, and the iteration fails.
    Fail,
}

impl RowCursor {
    /// Returns the rows of a worker: `share` is its part of the run, `of_task` its part of this
    /// task.
    pub(crate) fn new(data: &DataFile, share: Share, of_task: Share) -> Self {
        let share = match data.division {
            Division::OverRun => share,
            Division::OverTask => of_task,
            Division::None => Share::WHOLE,
        };
        let (first, step) = (u64::from(share.index), u64::from(share.of.max(1)));
        let count = (data.rows.len() as u64)
            .saturating_sub(first)
            .div_ceil(step);
        Self {
            first,
            step,
            count,
            drawn: 0,
            order: data.order,
            when_used_up: data.when_used_up,
        }
    }

    pub(crate) fn draw(&mut self, chance: &mut Pcg64Mcg) -> Drawn {
        if self.count == 0 {
            // Fewer rows than workers: this one has none of its own, and takes nobody else's.
            return if self.when_used_up == WhenUsedUp::Fail {
                Drawn::Fail
            } else {
                Drawn::Stop
            };
        }
        let own = match self.order {
            Order::Random => chance.random_range(0..self.count),
            Order::Sequential | Order::Once if self.drawn < self.count => self.drawn,
            Order::Sequential | Order::Once => match self.when_used_up {
                WhenUsedUp::Recycle => self.drawn % self.count,
                WhenUsedUp::Stop => return Drawn::Stop,
                WhenUsedUp::Fail => return Drawn::Fail,
            },
        };
        self.drawn += 1;
        Drawn::Row(u32::try_from(self.first + own * self.step).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng as _;

    use super::*;
    use model::scenario::Rows;

    fn data(rows: usize, order: Order, when_used_up: WhenUsedUp) -> DataFile {
        DataFile {
            name: "d".to_owned(),
            columns: vec!["c".to_owned()],
            rows: Rows::of(1, &vec![&["x"][..]; rows]),
            order,
            when_used_up,
            division: Division::OverRun,
            file: String::new(),
        }
    }

    fn drawn(rows: &mut RowCursor, times: usize) -> Vec<Drawn> {
        let mut chance = Pcg64Mcg::seed_from_u64(1);
        (0..times).map(|_| rows.draw(&mut chance)).collect()
    }

    #[test]
    fn what_happens_at_the_end_is_what_the_file_says() {
        let share = Share { index: 1, of: 2 };
        let draw = |order, when| {
            drawn(
                &mut RowCursor::new(&data(4, order, when), share, Share::WHOLE),
                3,
            )
        };
        let (one, three) = (Drawn::Row(1), Drawn::Row(3));
        assert_eq!(
            draw(Order::Sequential, WhenUsedUp::Recycle),
            [one, three, one]
        );
        assert_eq!(
            draw(Order::Once, WhenUsedUp::Stop),
            [one, three, Drawn::Stop]
        );
        assert_eq!(
            draw(Order::Sequential, WhenUsedUp::Fail),
            [one, three, Drawn::Fail]
        );
        assert!(
            draw(Order::Random, WhenUsedUp::Recycle)
                .iter()
                .all(|row| [one, three].contains(row))
        );
        let few = RowCursor::new(
            &data(1, Order::Sequential, WhenUsedUp::Recycle),
            share,
            Share::WHOLE,
        );
        assert_eq!(drawn(&mut { few }, 1), [Drawn::Stop]);
        let own = DataFile {
            division: Division::OverTask,
            ..data(4, Order::Once, WhenUsedUp::Stop)
        };
        let far = Share { index: 90, of: 91 };
        let wanted = [one, three, Drawn::Stop];
        assert_eq!(drawn(&mut RowCursor::new(&own, far, share), 3), wanted);
    }

    proptest! {
        #[test]
        fn every_row_belongs_to_exactly_one_worker(rows in 1usize..200, workers in 1u32..20) {
            let data = data(rows, Order::Once, WhenUsedUp::Stop);
            let mut seen = Vec::new();
            for index in 0..workers {
                for drawn in drawn(&mut RowCursor::new(&data, Share { index, of: workers }, Share::WHOLE), rows + 1) {
                    match drawn {
                        Drawn::Row(row) => seen.push(row as usize),
                        other => prop_assert_eq!(other, Drawn::Stop),
                    }
                }
            }
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..rows).collect::<Vec<_>>());
        }
    }
}
