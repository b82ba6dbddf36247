//! The spool on a directory that fails, against what must hold.

mod machine;
mod model_files;
mod others;
mod outage;
mod server;
mod world;
