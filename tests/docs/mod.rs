//! The documentation: every page is in the book, every link leads somewhere, and every command of the how-tos
//! runs and prints what they show.

mod links;
mod markdown;
mod run;
