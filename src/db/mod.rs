//! PostgreSQL: one file a table; every SQL statement of the project is here.
