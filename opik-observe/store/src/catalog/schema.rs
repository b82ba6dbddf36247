//! The tables of the catalogue, as a step of the store's schema.

/// See the module above for what the rows are.
pub(crate) const TABLES: &str = "
CREATE TABLE catalog_entry(
    kind INTEGER NOT NULL,
    id BLOB NOT NULL,
    project BLOB,               -- identifier
    fold TEXT NOT NULL,         -- the name in lower case
    parent BLOB,                -- dataset of an experiment or optimization
    body TEXT NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX catalog_entry_name ON catalog_entry(kind, fold);
CREATE INDEX catalog_entry_parent ON catalog_entry(parent, kind) WHERE parent IS NOT NULL;
CREATE TABLE dataset_version(
    dataset BLOB NOT NULL,
    number INTEGER NOT NULL,    -- from 1
    id BLOB NOT NULL UNIQUE,
    hash TEXT NOT NULL,
    member BLOB,                -- group of the writes that made it
    body TEXT NOT NULL,
    PRIMARY KEY (dataset, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE dataset_item(
    key INTEGER PRIMARY KEY,
    dataset BLOB NOT NULL,
    id BLOB NOT NULL,
    first INTEGER NOT NULL,     -- the first version that has it so
    until INTEGER NOT NULL,     -- the first version after that
    body TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX dataset_item_place ON dataset_item(dataset, id, first, until);
CREATE INDEX dataset_item_id ON dataset_item(id);
CREATE TABLE experiment_item(
    id BLOB PRIMARY KEY,
    experiment BLOB NOT NULL,
    item BLOB NOT NULL,
    trace BLOB NOT NULL,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX experiment_item_place ON experiment_item(experiment, id);
CREATE INDEX experiment_item_trace ON experiment_item(trace);
CREATE TABLE prompt_version(
    id BLOB PRIMARY KEY,
    prompt BLOB NOT NULL,
    number INTEGER NOT NULL,    -- from 1; 0 for masks
    short TEXT NOT NULL,        -- the commit, in lower case
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX prompt_version_place ON prompt_version(prompt, number);
CREATE INDEX prompt_version_short ON prompt_version(short);
CREATE TABLE queue_item(
    queue BLOB NOT NULL,
    item BLOB NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (queue, item)
) STRICT, WITHOUT ROWID;
CREATE INDEX queue_item_item ON queue_item(item);
";
