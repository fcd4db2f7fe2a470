// The pages of people and programs: the account, the users, the clients. The server renders them, so they need no script.

import type { Browser, Page } from "@playwright/test";
import { expectAccessible, expectNoOverflow } from "./appearance";
import { unique } from "./dashboard";
import { expect, signIn, test } from "./signed-in";

const chosen = "nine orange narwhals";

for (const [title, options] of [
  ["in light colours", { colorScheme: "light" }],
  ["in dark colours", { colorScheme: "dark" }],
  ["without JavaScript", { javaScriptEnabled: false }],
] as const) {
  test.describe(title, () => {
    test.use(options);
    const scripted = !("javaScriptEnabled" in options);

    test("a created user sets a password by the link, changes it, and ends another session", async ({ page, guarded, browser }) => {
      const name = newName("user");
      const link = await createUser(page, name);
      if (scripted) {
        await looksRight(page);
      }
      const theirs = await newPage(browser, guarded.url, options);
      await theirs.goto(link);
      await theirs.getByLabel("New password").fill(chosen);
      await theirs.getByRole("button", { name: "Set the password" }).click();
      await signIn(theirs, name, "/account", chosen);
      const other = await newPage(browser, guarded.url, options);
      await signIn(other, name, "/account", chosen);
      await theirs.goto("/account");
      const sessions = theirs.getByRole("region", { name: "Sessions" });
      await expect(sessions.getByRole("button", { name: "End", exact: true })).toHaveCount(1);
      if (scripted) {
        await looksRight(theirs);
      }
      await sessions.getByRole("button", { name: "End", exact: true }).click();
      await expect(sessions.getByRole("button", { name: "End", exact: true })).toHaveCount(0);
      await other.goto("/account");
      await expect(other.getByRole("heading", { name: "Sign in" })).toBeVisible();

      await theirs.getByLabel("Present password").fill("not the password");
      await theirs.getByLabel("New password").fill("five green giraffes");
      await theirs.getByRole("button", { name: "Change the password" }).click();
      await expect(theirs.getByRole("alert")).toBeVisible();
      await theirs.getByLabel("Present password").fill(chosen);
      await theirs.getByLabel("New password").fill("five green giraffes");
      await theirs.getByRole("button", { name: "Change the password" }).click();
      await expect(theirs.getByRole("alert")).toHaveCount(0);
      await signIn(other, name, "/account", "five green giraffes");
      await theirs.context().close();
      await other.context().close();
    });

    test("an administrator changes a user's role and disables the user", async ({ page }) => {
      const name = newName("user");
      await createUser(page, name);
      const user = () => page.getByRole("row").filter({ hasText: name });
      await page.getByLabel(`Role of ${name}`).selectOption("operator");
      await user().getByRole("button", { name: "Change", exact: true }).click();
      await page.goto("/users");
      await expect(page.getByLabel(`Role of ${name}`)).toHaveValue("operator");
      await user().getByRole("button", { name: "Disable" }).click();
      await expect(user().getByRole("button", { name: "Enable" })).toBeVisible();
    });

    test("a client's key is shown once, works, and is refused once it is revoked", async ({ page, guarded, playwright }) => {
      const name = newName("client");
      await signIn(page, "admin", "/clients");
      const form = page.getByRole("region", { name: "Create a client" });
      await form.getByLabel("Name").fill(name);
      await form.getByLabel("Role").selectOption("viewer");
      await form.getByRole("button", { name: "Create" }).click();
      const client = page.getByRole("region", { name });
      await client.getByRole("button", { name: "Create a key" }).click();
      const key = (await page.getByRole("region", { name: `A key of ${name}` }).locator("code").last().innerText()).trim();
      if (scripted) {
        await looksRight(page);
      }
      const program = await playwright.request.newContext({
        baseURL: guarded.url,
        extraHTTPHeaders: { authorization: `Bearer ${key}` },
      });
      expect((await program.get("/api/me")).status()).toBe(200);
      await page.goto("/clients");
      await expect(page.getByRole("heading", { name: "Clients and keys" })).toBeVisible();
      await expect(page.locator("body")).not.toContainText(key);
      await client.getByRole("button", { name: "Revoke" }).click();
      await expect(client.getByRole("button", { name: "Revoke" })).toHaveCount(0);
      await expect.poll(async () => (await program.get("/api/me")).status()).toBe(401);
      await program.dispose();
    });
  });
}

async function looksRight(page: Page): Promise<void> {
  await expectAccessible(page);
  await expectNoOverflow(page);
}

/** A name that users and clients may have. */
function newName(kind: string): string {
  return unique(kind).replace(" ", "-");
}

async function newPage(browser: Browser, baseURL: string, options: object): Promise<Page> {
  return (await browser.newContext({ baseURL, ...options })).newPage();
}

/** Creates a viewer as the administrator, and returns the link that sets its password. */
async function createUser(page: Page, name: string): Promise<string> {
  await signIn(page, "admin", "/users");
  const form = page.getByRole("region", { name: "Create a user" });
  await form.getByLabel("Name").fill(name);
  await form.getByLabel("Role").selectOption("viewer");
  await form.getByRole("button", { name: "Create, and make a link" }).click();
  return (await page.getByRole("region", { name: `A link for ${name}` }).locator("code").innerText()).trim();
}
