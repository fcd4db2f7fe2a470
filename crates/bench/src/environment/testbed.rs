//! What every part needs: the cluster, the program, and how much to measure.

use std::path::{Path, PathBuf};

use sqlx::AssertSqlSafe;

use crate::arguments::{Arguments, Scale};
use crate::environment::cluster::Cluster;
use crate::environment::onceward_process::Program;
use crate::environment::posting_service::PostingService;
use crate::error::Fallible;

/// The database of the program under measurement, made anew for each part.
pub const DATABASE: &str = "onceward";

/// Where the parts are played.
#[derive(Debug)]
pub struct Stage {
    pub cluster: Cluster,
    pub scale: Scale,
    pub profiled: bool,
    program: PathBuf,
}

impl Stage {
    /// Sets it.
    ///
    /// # Errors
    /// Where the cluster does not start.
    pub async fn set(arguments: &Arguments) -> Fallible<Self> {
        Ok(Self {
            cluster: Cluster::make(&arguments.folder, arguments.profile).await?,
            scale: arguments.scale(),
            profiled: arguments.profile,
            program: arguments.program.clone(),
        })
    }

    /// The program that is measured.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Starts a process of Onceward on a database, with these settings beside.
    ///
    /// # Errors
    /// Where it is not up in time.
    pub async fn start(
        &self,
        command: &str,
        database: &str,
        settings: &[(&'static str, String)],
    ) -> Fallible<Program> {
        let mut environment = vec![
            ("DATABASE_URL", self.cluster.url(database)),
            ("ONCEWARD_DATA", self.cluster.folder().join("data").display().to_string()),
        ];
        environment.extend_from_slice(settings);
        let log = self.cluster.folder().join("onceward.log");
        Program::start(&self.program, command, &environment, &log).await
    }

    /// Starts web and workers in one process, which post to this service.
    ///
    /// # Errors
    /// Where it is not up in time.
    pub async fn serve(
        &self,
        database: &str,
        service: &PostingService,
        settings: &[(&'static str, String)],
    ) -> Fallible<Program> {
        let mut all = vec![("POSTING_URL", service.url())];
        all.extend_from_slice(settings);
        self.start("serve", database, &all).await
    }

    /// How many transactions of a database pass a condition.
    ///
    /// # Errors
    /// PostgreSQL's.
    pub async fn count(&self, database: &str, condition: &str) -> Fallible<usize> {
        let mut connection = self.cluster.connect(database).await?;
        let query = format!("select count(*) from transactions where {condition}");
        let count: i64 =
            sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&mut connection).await?;
        Ok(count.try_into()?)
    }
}
