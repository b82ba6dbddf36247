//! Session stores in memory, SQLite, MySQL, MariaDB and PostgreSQL.
