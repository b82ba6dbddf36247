//! Embedded SQLite trace store: exporter and trace source in one file.
