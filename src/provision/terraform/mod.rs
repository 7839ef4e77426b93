//! The only driver of the terraform (or tofu) binary.
//!
//! Terraform must be able to outlive us. It writes to a file, never to our pipe (a reader that dies
//! would kill it in the middle of an apply). It lives in its own process group, and is stopped by
//! one SIGINT to its pid. Its output is evidence, not proof: the proof of a destroy is made
//! elsewhere, by describing every name.

pub mod diagnostic;
pub mod driver;
pub mod locate;
pub mod message;
pub mod module;
mod provider;
pub mod session;
pub mod state;

pub use driver::{Finished, Outputs, Terraform, TerraformError, Variables, has_module};
pub use locate::{Binary, Flavour, locate};
pub use message::Message;
pub use state::STATE;
