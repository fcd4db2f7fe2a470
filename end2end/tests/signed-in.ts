// Fixtures of the tests with authentication: each of Playwright's workers starts an Onceward that requires it.

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { test as base, expect, type Page } from "@playwright/test";
import { type Onceward, start } from "../onceward";

export { expect };

/** The password of every user. */
export const password = "seven purple walruses";

/** The roles that see different controls. */
export type Role = "viewer" | "submitter" | "operator" | "admin";

export const test = base.extend<object, { guarded: Onceward }>({
  /** An Onceward that requires authentication. Each role has a user with its name. */
  guarded: [
    async ({}, use, { workerIndex }) => {
      const folder = mkdtempSync(join(tmpdir(), "onceward-e2e-secrets-"));
      const file = join(folder, "password");
      writeFileSync(file, `${password}\n`);
      const onceward = await start(`guarded-${workerIndex}`, "serve", {
        ONCEWARD_AUTH: "required",
        ONCEWARD_ADMIN_PASSWORD_FILE: file,
      });
      const program = resolve(__dirname, "../../target/release/onceward");
      for (const role of ["viewer", "submitter", "operator"]) {
        const create = ["user", "create", role, "--role", role, "--password-file", file];
        execFileSync(program, create, { env: { ...process.env, ONCEWARD_DATA: onceward.data, DATABASE_URL: undefined } });
      }
      await use(onceward);
      await onceward.stop();
      rmSync(folder, { recursive: true });
    },
    { scope: "worker", timeout: 90_000 },
  ],
  baseURL: async ({ guarded }, use) => use(guarded.url),
});

/** Opens a page as somebody who is not signed in, and signs in by the form. */
export async function signIn(page: Page, name: string, next = "/", secret = password): Promise<void> {
  await page.goto(next);
  await expect(page.getByRole("heading", { name: "Sign in" })).toBeVisible();
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password").fill(secret);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("heading", { name: "Sign in" })).toHaveCount(0);
}
