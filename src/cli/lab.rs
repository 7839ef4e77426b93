use super::Answer;
#[derive(Debug, clap::Args)]
pub struct Args {}
pub async fn run(_args: Args) -> Answer { Answer::default() }
