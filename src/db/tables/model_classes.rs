//! Model classes.

use super::object::{DeclaredRow, ObjectColumns, ObjectRow, columns, readings};
use crate::crd::Kind;
use crate::crd::model_class::{ClassNeed, CurrentModel, Preferred};

columns! {
    /// What the reconciler derives for a model class.
    #[derive(Default)]
    pub struct DeclaredModelClass: ObjectColumns {
        /// Name shown to people.
        pub display_name: Option<String>,
        /// What it is for.
        pub description: Option<String>,
        /// Names of the models, in order of preference; empty where `need` says what a model must be.
        pub models: Vec<String>,
        /// What a model must be.
        pub need: Option<ClassNeed>,
        /// Which of several models comes first.
        pub prefer: Preferred,
        /// Whether a deprecated model may be meant.
        pub allow_deprecated: bool,
        /// What it means now; none where no model can be called.
        pub current: Option<CurrentModel>,
        /// Models that are what it asks for.
        pub candidates: i32,
    }
}

impl DeclaredRow for DeclaredModelClass {
    const KIND: Kind = Kind::ModelClass;
    const TABLE: &'static str = "model_classes";
    type Found = ();
}

/// A model class as it is stored.
pub type ModelClassRow = ObjectRow<DeclaredModelClass>;

readings!(
    ModelClassRow,
    model_class_row,
    model_class_rows_by_uid,
    model_class_rows_all
);
