//! What `ask` and `chat` share: the assistant of this machine, its model, and how a turn is shown.

pub(crate) mod model;
pub(crate) mod setup;
pub(crate) mod show;
