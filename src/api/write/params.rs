//! Query parameters of writes.

use utoipa::IntoParams;

use crate::api::problem::Problem;
use crate::api::read::query_params::{FromQuery, Query, documented_names};

/// What every write understands.
#[derive(Clone, Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WriteParams {
    /// The namespace, one. Without it the caller's own, where the caller is a ServiceAccount.
    #[param(pattern = "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
    pub namespace: Option<String>,
    /// Only try it: the cluster says what would become of it, and nothing changes.
    #[param(default = false, required = false)]
    pub dry_run: bool,
}

impl FromQuery for WriteParams {
    documented_names!(WriteParams);

    fn read(query: &Query<'_>) -> Result<Self, Problem> {
        Ok(Self {
            namespace: query.text("namespace")?,
            dry_run: query.flag("dry_run")?.unwrap_or(false),
        })
    }
}

/// What is asked of a change of something that is there.
#[derive(Clone, Copy, Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Force {
    /// Change it also where a GitOps tool manages it, and may undo the change.
    #[param(default = false, required = false)]
    pub force: bool,
}

impl FromQuery for Force {
    documented_names!(Force);

    fn read(query: &Query<'_>) -> Result<Self, Problem> {
        Ok(Self {
            force: query.flag("force")?.unwrap_or(false),
        })
    }
}

/// What is asked of a provider's deletion.
#[derive(Clone, Copy, Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Cascade {
    /// Delete it also where a GitOps tool manages it, and may bring it back.
    #[param(default = false, required = false)]
    pub force: bool,
    /// Delete its endpoints, credentials and models with it.
    #[param(default = false, required = false)]
    pub cascade: bool,
}

impl FromQuery for Cascade {
    documented_names!(Cascade);

    fn read(query: &Query<'_>) -> Result<Self, Problem> {
        Ok(Self {
            force: query.flag("force")?.unwrap_or(false),
            cascade: query.flag("cascade")?.unwrap_or(false),
        })
    }
}
