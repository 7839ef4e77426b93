//! The order in which the steps of a block are carried out: blocks within blocks, repeated, under
//! conditions. Pure.

use model::scenario::{Action, Block, Condition};

/// Walks through a block; for a flat one nothing is allocated.
pub(crate) struct Walk<'b> {
    here: BlockPosition<'b>,
    outer: Vec<BlockPosition<'b>>,
}

struct BlockPosition<'b> {
    block: &'b Block,
    next: usize,
    passes_left: u32,
}

impl<'b> Walk<'b> {
    pub(crate) fn new(block: &'b Block) -> Self {
        Self {
            here: BlockPosition {
                block,
                next: 0,
                passes_left: block.repeat,
            },
            outer: Vec::new(),
        }
    }

    /// Returns the next step's index. A condition is tested before each pass of its block: the first
    /// time that it does not hold ends them.
    pub(crate) fn next(&mut self, holds: &mut dyn FnMut(&Condition) -> bool) -> Option<u16> {
        loop {
            match self
                .here
                .block
                .actions
                .get(self.here.next)
                .filter(|_| self.here.passes_left > 0)
            {
                Some(Action::Request(step)) => {
                    self.here.next += 1;
                    return Some(*step);
                }
                Some(Action::Block(block)) => {
                    self.here.next += 1;
                    if block.condition.as_ref().is_none_or(&mut *holds) {
                        let inner = BlockPosition {
                            block,
                            next: 0,
                            passes_left: block.repeat,
                        };
                        self.outer.push(std::mem::replace(&mut self.here, inner));
                    }
                }
                None if self.here.passes_left > 1 && !self.here.block.actions.is_empty() => {
                    let condition = self.here.block.condition.as_ref();
                    let again = condition.is_none_or(&mut *holds);
                    self.here.passes_left = if again { self.here.passes_left - 1 } else { 0 };
                    self.here.next = 0;
                }
                None => self.here = self.outer.pop()?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::scenario::{Expression, Operator};

    fn block(repeat: u32, condition: Option<bool>, actions: Vec<Action>) -> Action {
        let condition = condition.map(|negated| Condition {
            negated,
            left: Expression::Session,
            comparison: Some((Operator::Equal, Expression::Session)),
        });
        Action::Block(Block {
            condition,
            repeat,
            actions,
        })
    }

    #[test]
    fn steps_come_in_order_repeated_and_under_conditions() {
        use Action::Request as R;
        let body = Block {
            condition: None,
            repeat: 1,
            actions: vec![
                R(0),
                block(2, None, vec![R(1), block(3, None, vec![R(2)]), R(3)]),
                block(5, Some(true), vec![R(4)]),
                block(1, Some(false), vec![R(5)]),
                block(4, None, vec![]),
                R(6),
            ],
        };
        let mut walk = Walk::new(&body);
        let mut seen = Vec::new();
        while let Some(step) = walk.next(&mut |condition| !condition.negated) {
            seen.push(step);
        }
        assert_eq!(seen, [0, 1, 2, 2, 2, 3, 1, 2, 2, 2, 3, 5, 6]);
        assert_eq!(body.requests(), 1 + 2 * 5 + 5 + 1 + 1);
        let polls = Block {
            condition: None,
            repeat: 1,
            actions: vec![block(10, Some(false), vec![R(1), R(2)]), R(3)],
        };
        let (mut walk, mut asked, mut seen) = (Walk::new(&polls), 0, Vec::new());
        let mut twice = |_: &Condition| {
            asked += 1;
            asked <= 2
        };
        while let Some(step) = walk.next(&mut twice) {
            seen.push(step);
        }
        assert_eq!((seen, asked), (vec![1, 2, 1, 2, 3], 3));
        assert!(Walk::new(&Block::default()).next(&mut |_| true).is_none());
    }
}
