//! What every scenario needs: the cluster, the program to measure, and how much to measure.

use std::path::{Path, PathBuf};

use sqlx::AssertSqlSafe;

use crate::arguments::{Arguments, Scale};
use crate::environment::cluster::Cluster;
use crate::environment::onceward_process::OncewardProcess;
use crate::environment::posting_service::PostingService;
use crate::error::Fallible;

/// The database of Onceward, created anew for each part.
pub const DATABASE: &str = "onceward";

/// What every scenario needs.
#[derive(Debug)]
pub struct Testbed {
    pub cluster: Cluster,
    pub scale: Scale,
    pub profiled: bool,
    program: PathBuf,
}

impl Testbed {
    /// Creates the cluster.
    ///
    /// # Errors
    /// The cluster does not start.
    pub async fn create(arguments: &Arguments) -> Fallible<Self> {
        Ok(Self {
            cluster: Cluster::create(&arguments.folder, arguments.profile).await?,
            scale: arguments.scale(),
            profiled: arguments.profile,
            program: arguments.program.clone(),
        })
    }

    /// The program that is measured.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Starts a process of Onceward on a database, with these additional settings.
    ///
    /// # Errors
    /// It is not ready in time.
    pub async fn start(
        &self,
        command: &str,
        database: &str,
        settings: &[(&'static str, String)],
    ) -> Fallible<OncewardProcess> {
        let mut environment = vec![
            ("DATABASE_URL", self.cluster.url(database)),
            ("ONCEWARD_DATA", self.cluster.folder().join("data").display().to_string()),
        ];
        environment.extend_from_slice(settings);
        let log = self.cluster.folder().join("onceward.log");
        OncewardProcess::start(&self.program, command, &environment, &log).await
    }

    /// Starts web and workers in one process, which posts to this service.
    ///
    /// # Errors
    /// It is not ready in time.
    pub async fn serve(
        &self,
        database: &str,
        service: &PostingService,
        settings: &[(&'static str, String)],
    ) -> Fallible<OncewardProcess> {
        let mut all = vec![("POSTING_URL", service.url())];
        all.extend_from_slice(settings);
        self.start("serve", database, &all).await
    }

    /// How many transactions of a database meet a condition.
    ///
    /// # Errors
    /// PostgreSQL's error.
    pub async fn count(&self, database: &str, condition: &str) -> Fallible<usize> {
        let mut connection = self.cluster.connect(database).await?;
        let query = format!("select count(*) from transactions where {condition}");
        let count: i64 =
            sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&mut connection).await?;
        Ok(count.try_into()?)
    }
}
