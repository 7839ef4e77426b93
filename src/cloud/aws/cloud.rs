//! The caller's AWS and account together: everything that is made, watched or destroyed is there.

use super::{Aws, AwsError, Caller};

/// An AWS, and who we are in it.
#[derive(Debug, Clone)]
pub struct Cloud {
    /// Region, endpoint and credentials.
    pub aws: Aws,
    /// The account and identity of those credentials, as STS told them.
    pub caller: Caller,
}

impl Cloud {
    /// Reads the environment's AWS configuration and asks STS whose credentials these are.
    pub async fn find() -> Result<Self, AwsError> {
        let aws = Aws::from_environment().await?;
        let caller = aws.caller().await?;
        Ok(Self { aws, caller })
    }
}
