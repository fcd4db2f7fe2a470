//! The commands, beside a running program and without one.

use crate::{
    Guarded,
    browser::{Browser, PASSWORD, location, password_file},
    run_to_end,
    support::{Data, Program, command},
};

#[tokio::test]
async fn a_wrong_command_ends_with_an_error_that_says_what_is_wrong() {
    let guarded = Guarded::start().await;
    guarded.client("payroll", "submitter").await;
    for (arguments, expected) in [
        (&["client", "create", "payroll", "--role", "viewer"][..], "has this name"),
        (&["client", "create", "Payroll", "--role", "viewer"], "small letters"),
        (&["client", "create", "x", "--role", "root"], "must be one of viewer"),
        (&["client", "key", "create", "nobody"], "no client nobody"),
        (&["client", "key", "create", "payroll", "--expires-in", "1w"], "such as 90d"),
        (&["client", "key", "revoke", "nothing"], "no key with this id"),
    ] {
        let mut command = command(arguments);
        command.env("DATABASE_URL", &guarded.database);
        let (succeeded, log) = run_to_end(command).await;
        assert!(!succeeded && log.contains(expected), "{arguments:?}: {log}");
    }
}

#[tokio::test]
async fn a_command_reaches_onceward_s_own_postgresql_while_it_runs_and_while_it_does_not() {
    let data = Data::new();
    let onceward = async |arguments: &[&str]| {
        let mut command = command(arguments);
        let output = command.env("ONCEWARD_DATA", data.path()).output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    };
    let id = onceward(&["client", "create", "payroll", "--role", "submitter"]).await;
    assert_eq!(uuid::Uuid::parse_str(&id).unwrap().get_version_num(), 7);

    let mut serve = command(&["serve"]);
    serve.env("ONCEWARD_DATA", data.path()).env("ONCEWARD_AUTH", "required");
    let program = Program::start(serve).await;
    program.ready().await;
    let key = onceward(&["client", "key", "create", "payroll"]).await;
    assert_eq!(program.read_as(&key, "/api/me").await["principal"], "payroll");
    assert!(onceward(&["client", "list"]).await.starts_with("payroll\tsubmitter\t"));

    // The simulator runs inside, so there is a cleanup, for administrators alone.
    assert_eq!(program.post("/cleanup").send().await.unwrap().status(), 401);
    let forbidden = program.post("/cleanup").bearer_auth(&key).send().await.unwrap();
    assert_eq!(forbidden.status(), 403);
    onceward(&["client", "set-role", "payroll", "--role", "admin"]).await;
    let cleaned =
        async || program.post("/cleanup").bearer_auth(&key).send().await.unwrap().status() == 200;
    program.until("the new role is obeyed", cleaned).await;
    assert_eq!(program.read_as(&key, "/api/me").await["role"], "admin");
}

#[tokio::test]
async fn a_user_is_created_in_onceward_s_own_postgresql_while_it_runs_and_while_it_does_not() {
    let data = Data::new();
    let password = password_file(PASSWORD);
    let create = async |name: &str, role: &str| {
        let mut command = command(&["user", "create", name, "--role", role, "--password-file"]);
        command.arg(password.path()).env("ONCEWARD_DATA", data.path());
        let output = command.output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(uuid::Uuid::parse_str(printed.trim_end()).is_ok(), "{printed}");
    };
    create("boss", "admin").await;
    let mut serve = command(&["serve"]);
    serve.env("ONCEWARD_DATA", data.path()).env("ONCEWARD_AUTH", "required");
    let program = Program::start(serve).await;
    program.ready().await;
    create("ann", "viewer").await;
    for name in ["boss", "ann"] {
        let mut browser = Browser::at(&program.url);
        assert_eq!(location(&browser.sign_in(name, PASSWORD).await), "/account", "{name}");
        assert_eq!(browser.get("/api/me").await.status(), 200, "{name}");
    }
}

#[tokio::test]
async fn authentication_cannot_be_off_beyond_loopback_and_needs_a_posting_service_there() {
    let database = crate::support::database().await;
    let refusal = async |changes: &[(&str, &str)]| {
        let mut command = command(&["serve"]);
        command.env("DATABASE_URL", &database).envs(changes.iter().copied());
        let (succeeded, log) = run_to_end(command).await;
        assert!(!succeeded);
        log
    };
    let beyond = ("LEPTOS_SITE_ADDR", "0.0.0.0:0");
    let log = refusal(&[beyond, ("ONCEWARD_AUTH", "off")]).await;
    assert!(log.contains("ONCEWARD_AUTH: cannot be off"), "{log}");
    let log = refusal(&[beyond]).await;
    assert!(log.contains("POSTING_URL: is required"), "{log}");
    let log = refusal(&[("ONCEWARD_AUTH", "perhaps")]).await;
    assert!(log.contains("ONCEWARD_AUTH"), "{log}");
}
