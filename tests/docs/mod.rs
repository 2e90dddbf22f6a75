//! The documentation: every page is in the book, every link leads somewhere, every command is one, is run, and prints
//! what the page shows.

mod commands;
mod elsewhere;
mod links;
mod markdown;
mod plane;
mod run;
mod session;
mod shell;
mod site;
mod steps;
