//! The data files that a flow draws rows from, and those whose rows stay with a session.

use super::step::{Action, Block, Step};
use super::{Flow, Scenario};

impl Scenario {
    /// Returns the data files that an iteration of a flow draws from, by index.
    pub fn draws(&self, flow: &Flow) -> Vec<u16> {
        let mut data: Vec<u16> = flow.steps.iter().flat_map(Step::draws).collect();
        data.extend(flow.setup.draws());
        data.extend(flow.body.draws());
        data.extend(self.in_every_request());
        sorted(data)
    }

    /// Returns the data files whose rows stay with a session once it has carried out the setup of a
    /// flow: those that the setup draws from. The row that logged in is the user.
    pub fn keeps(&self, flow: &Flow) -> Vec<u16> {
        if flow.setup.actions.is_empty() {
            return Vec::new();
        }
        let mut data = flow.setup.draws();
        let steps = requests(&flow.setup);
        let steps = steps.iter().filter_map(|step| flow.steps.get(*step));
        data.extend(steps.flat_map(Step::draws));
        data.extend(self.in_every_request());
        sorted(data)
    }

    fn in_every_request(&self) -> impl Iterator<Item = u16> {
        let headers = self.target.headers.iter();
        headers.flat_map(|(_, value)| value.data())
    }
}

/// Returns the indices of the steps in a block and its inner blocks.
fn requests(block: &Block) -> Vec<usize> {
    let of = |action: &Action| match action {
        Action::Request(step) => vec![usize::from(*step)],
        Action::Block(inner) => requests(inner),
    };
    block.actions.iter().flat_map(of).collect()
}

fn sorted(mut data: Vec<u16>) -> Vec<u16> {
    data.sort_unstable();
    data.dedup();
    data
}

#[cfg(test)]
mod tests {
    use super::super::{FileError, Substitutions, read};

    #[test]
    fn rows_that_setup_draws_stay_with_the_session() {
        let text = |target: &str, setup: &str, steps: &str| {
            format!(
                "name: t\ntarget: {{ url: http://shop{target} }}\n\
                 data: {{ u: {{ file: u.csv }}, p: {{ file: p.csv }} }}\n\
                 phases: [{{ users: 1, hold: 1s }}]\n\
                 flows: [{{ name: f, {setup}steps: [{steps}] }}]\n"
            )
        };
        let login = "setup: [{ repeat: 2, steps: [{ post: '/{{ u.id }}' }] }], ";
        let both = "{ get: '/{{ u.id }}/{{ p.id }}' }";
        let header = ", headers: { x: '{{ p.id }}' }";
        for (target, setup, steps, draws, keeps) in [
            ("", login, both, vec![0, 1], vec![0]),
            ("", login, "{ get: / }", vec![0], vec![0]),
            ("", "", both, vec![0, 1], vec![]),
            (header, login, "{ get: / }", vec![0, 1], vec![0, 1]),
            (header, "", "{ get: / }", vec![1], vec![]),
            (
                "",
                "setup: [{ get: /, if: u.id == 1 }], ",
                both,
                vec![0, 1],
                vec![0],
            ),
        ] {
            let rows = |_: &str| -> Result<Vec<u8>, FileError> { Ok(b"id\n1\n".to_vec()) };
            let text = text(target, setup, steps);
            let scenario = read(&text, &Substitutions::default(), &rows)
                .unwrap()
                .scenario;
            let flow = &scenario.flows[0];
            assert_eq!(scenario.draws(flow), draws, "{text}");
            assert_eq!(scenario.keeps(flow), keeps, "{text}");
        }
    }
}
