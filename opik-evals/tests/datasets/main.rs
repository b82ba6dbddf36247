//! Datasets: reading, building, writing.

mod items;
