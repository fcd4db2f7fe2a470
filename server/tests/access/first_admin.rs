//! The first administrator, and the roles that need an authenticator app.

use std::process::Stdio;

use data_encoding::BASE32_NOPAD;
use ring::hmac;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::{
    Guarded,
    browser::{Browser, PASSWORD, location, password_file},
    run_to_end,
    support::{Program, Service, database},
};

#[tokio::test]
async fn the_first_administrator_signs_in_with_the_password_of_the_file() {
    let (database, service) = (database().await, Service::start().await);
    let file = password_file("short");
    let mut command = Guarded::command(&service, &database);
    command.env("ONCEWARD_ADMIN_PASSWORD_FILE", file.path());
    let (succeeded, log) = run_to_end(command).await;
    assert!(!succeeded && log.contains("ONCEWARD_ADMIN_PASSWORD_FILE"), "{log}");
    assert!(!log.contains("short\n"), "{log}");

    let file = password_file(PASSWORD);
    let mut command = Guarded::command(&service, &database);
    command.env("ONCEWARD_ADMIN_PASSWORD_FILE", file.path());
    let program = Program::start(command).await;
    let mut admin = Browser::at(&program.url);
    assert_eq!(location(&admin.sign_in("admin", PASSWORD).await), "/account");
    assert_eq!(admin.get("/users").await.status(), 200);
    drop(program);

    // Once an administrator can sign in, the file is not read.
    drop(file);
    let mut command = Guarded::command(&service, &database);
    command.env("ONCEWARD_ADMIN_PASSWORD_FILE", "/no/such/file");
    let program = Program::start(command).await;
    let answer = Browser::at(&program.url).sign_in("admin", PASSWORD).await;
    assert_eq!(location(&answer), "/account");
}

#[tokio::test]
async fn the_first_start_prints_a_link_with_which_the_administrator_sets_a_password() {
    let (database, service) = (database().await, Service::start().await);
    let mut command = Guarded::command(&service, &database);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = lines.next_line().await.unwrap().unwrap();
    let url = address.rsplit(' ').next().unwrap();
    let notice = lines.next_line().await.unwrap().unwrap();
    let link = notice.split(' ').find(|word| word.starts_with(url)).unwrap();
    let path = link.strip_prefix(url).unwrap();
    let token = path.strip_prefix("/set-password?token=").unwrap();

    let mut admin = Browser::at(url);
    assert!(admin.get(path).await.text().await.unwrap().contains("value=\"first-admin\""));
    let fields = [("token", token), ("new-password", PASSWORD)];
    assert_eq!(location(&admin.post("/set-password", &fields).await), "/sign-in?done=password-set");
    assert_eq!(location(&admin.sign_in("first-admin", PASSWORD).await), "/account");
    assert_eq!(admin.get("/users").await.status(), 200);
    child.kill().await.unwrap();

    let mut command = Guarded::command(&service, &database);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next_line().await.unwrap().unwrap().starts_with("Onceward is at "));
    nix::sys::signal::kill(pid(&child), nix::sys::signal::Signal::SIGTERM).unwrap();
    assert_eq!(lines.next_line().await.unwrap(), None, "nothing else is printed");
    child.wait().await.unwrap();
}

fn pid(child: &tokio::process::Child) -> nix::unistd::Pid {
    nix::unistd::Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap())
}

#[tokio::test]
async fn a_role_of_totp_required_roles_can_do_nothing_before_it_has_an_authenticator_app() {
    let (database, service) = (database().await, Service::start().await);
    let mut command = Guarded::command(&service, &database);
    command.env("TOTP_REQUIRED_ROLES", "admin,operator");
    let program = crate::watched::Watched::start(command).await;
    program.ready().await;
    let guarded = Guarded { program, database, service };
    guarded.user("boss", "admin").await;
    guarded.user("ann", "viewer").await;
    let mut ann = Browser::new(&guarded);
    ann.sign_in("ann", PASSWORD).await;
    assert_eq!(ann.get("/api/me").await.status(), 200, "the role of ann needs no app");

    let mut boss = Browser::new(&guarded);
    assert_eq!(location(&boss.sign_in("boss", PASSWORD).await), "/account");
    assert_eq!(location(&boss.get("/").await), "/account");
    assert_eq!(boss.get("/api/users").await.status(), 401);
    assert_eq!(boss.get("/api/stream").await.status(), 401);
    assert_eq!(location(&boss.post("/account/totp", &[]).await), "/account?done=totp-begun");
    let page = boss.get("/account").await.text().await.unwrap();
    let start = page.find("secret=").unwrap() + "secret=".len();
    let wrong = [("code", "x")];
    assert_eq!(boss.post("/account/totp/confirm", &wrong).await.status(), 422);
    assert_eq!(boss.get("/api/users").await.status(), 401);
    let code = code(&page[start..start + 32]);
    assert_eq!(boss.post("/account/totp/confirm", &[("code", &code)]).await.status(), 200);
    let may = async || boss.get("/api/users").await.status() == 200;
    guarded.program.until("the app is known", may).await;
    let without_code = Browser::new(&guarded).sign_in("boss", PASSWORD).await;
    assert_eq!(without_code.status(), 422);
}

/// The code that an authenticator app shows now (RFC 6238).
fn code(secret: &str) -> String {
    let secret = BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
    let step = chrono::Utc::now().timestamp() / 30;
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let start = usize::from(tag.as_ref()[19] & 0xf);
    let number = u32::from_be_bytes(tag.as_ref()[start..start + 4].try_into().unwrap());
    format!("{:06}", (number & 0x7fff_ffff) % 1_000_000)
}
